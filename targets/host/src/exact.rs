//! Programs of exact event times: the order in which handlers run.
//!
//! A process goes through a window arrival by arrival, and searches the intervals between them for spikes. What it went
//! through is kept (`course`) for the way back (`back`). Spikes are sent on when the window is over: each is then among
//! what waits for its consumer, with the window and the time of its arrival.
//!
//! The replicas of a group go through a window together, round by round. In a round each gets as far as it can: over
//! intervals in which the first conditions of the search leave no lane, to one in which they leave some. These lanes
//! of all replicas are searched as one list; then each replica takes the next of its arrivals.

use std::ops::Range;

use crate::back::Back;
use crate::course::{Arrival, End, Windows, since_start, sort};
use crate::frame::{Event, Frame, Scratch, TIME};
use crate::isa::Isa;
use crate::lists::{List, SpikePlaces};
use crate::plan::{Emission, ExactPlan, Plan, ProcessPlan};
use crate::replica::{Failure, Replica};
use crate::rows::Rows;

/// What a group works with; kept, so that nothing is allocated twice.
#[derive(Default)]
pub(crate) struct Lists {
    pub(crate) list: List,
    /// What a search found.
    found: Found,
    order: Order,
    /// Arrivals of all replicas, one replica after the other.
    now: Vec<Arrival>,
    /// Of each replica, the ends of the intervals between them: 0, their times, and the end of the window.
    bounds: Vec<f32>,
    cursors: Vec<Cursor>,
    numbers: Numbers,
    /// What the way back needs.
    pub(crate) back: Back,
}

/// What handlers of arrivals make of their times alone.
#[derive(Default)]
struct Numbers {
    /// Of each arrival as many as the handler that makes most.
    all: Vec<f32>,
    each: usize,
    times: Vec<f32>,
    places: Vec<usize>,
}

/// Where a replica is in a window.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    member: usize,
    /// The next of the arrivals of all replicas, or the one behind the last of its own.
    next: usize,
    end: usize,
    /// What an arrival's number is less than that of the beginning of the interval before it.
    bounds: usize,
    /// The first arrival that there is no room for.
    full: Option<(usize, usize)>,
    /// The last of the intervals that are looked at together.
    ahead: usize,
    /// The first of them in which any lane is left.
    left: Option<usize>,
    /// These lanes, a bit each.
    lanes: u32,
    /// Whether all arrivals have been taken as far as was looked.
    taken: bool,
}

/// Spikes in the order in which they were found, with their times, the ends of their intervals and their fields. Each
/// time that a list of lanes was searched it was for replicas ascending.
#[derive(Default)]
struct Found {
    spikes: List,
    /// Whether each is later than the interval or the last spike of the lane.
    later: Vec<bool>,
    /// Of each time, what is not recorded yet.
    passes: Vec<Range<usize>>,
}

/// Spikes of a replica, ordered by time.
#[derive(Default)]
struct Order {
    /// Places among all that were found, at first in that order.
    found: Vec<u32>,
    sorted: Vec<u32>,
    times: Vec<f32>,
    ranks: Vec<u32>,
}

impl Lists {
    /// For so many replicas of processes of so many lanes at most.
    pub(crate) fn new(lanes: usize, replicas: usize) -> Self {
        Self {
            back: Back::new(lanes, replicas),
            ..Self::default()
        }
    }
}

/// So many are ordered by how many are earlier than each.
const FEW: usize = 128;

impl Found {
    fn clear(&mut self) {
        self.spikes.clear();
        self.later.clear();
        self.passes.clear();
    }

    /// Takes what has fired of a part of a list that starts there.
    fn take(
        &mut self,
        list: &List,
        start: usize,
        fired: &[u32],
        places: &SpikePlaces,
        common: &[f32],
    ) {
        let fired = fired.iter().map(|place| *place as usize);
        let entries = fired.clone().map(|place| start + place);
        let spikes = &mut self.spikes;
        let members = entries.clone().map(|entry| list.members[entry]);
        spikes.members.extend(members);
        spikes
            .places
            .extend(entries.clone().map(|entry| list.places[entry]));
        spikes
            .untils
            .extend(entries.clone().map(|entry| list.untils[entry]));
        let times = &common[places.times..];
        spikes.times.extend(fired.clone().map(|place| {
            let (since, until) = (list.times[start + place], list.untils[start + place]);
            let time = times[place];
            let time = if time > since { time } else { since };
            if time < until { time } else { until }
        }));
        let later = entries.zip(&spikes.times[self.later.len()..]);
        self.later
            .extend(later.map(|(entry, time)| *time > list.times[entry]));
        for place in fired {
            for field in &places.fields {
                spikes.fields.push(common[field + place]);
            }
        }
    }
}

impl Order {
    /// Takes the spikes of a replica that are not recorded yet, and orders them by (time, lane), and as found where
    /// both are equal.
    fn of_replica(&mut self, member: usize, found: &mut Found, isa: Isa) {
        let spikes = &found.spikes;
        self.found.clear();
        for pass in &mut found.passes {
            let members = &spikes.members[pass.clone()];
            // Nobody records what was found for a replica that has failed.
            let before = members.iter().take_while(|of| (**of as usize) < member);
            let start = pass.start + before.count();
            let own = spikes.members[start..pass.end].iter();
            let own = own.take_while(|of| **of as usize == member);
            pass.start = start + own.count();
            self.found.extend(narrow(start)..narrow(pass.start));
        }
        let count = self.found.len();
        self.sorted.clear();
        if count <= FEW {
            let times = self.found.iter().map(|of| spikes.times[*of as usize]);
            self.times.clear();
            self.times.extend(times);
            isa.ranks(&mut self.times, &mut self.ranks);
            let sum: u32 = self.ranks.iter().sum();
            // Where two are equal, a rank is missing.
            if sum as usize == count * count.saturating_sub(1) / 2 {
                self.sorted.resize(count, 0);
                for (rank, of) in self.ranks.iter().zip(&self.found) {
                    self.sorted[*rank as usize] = *of;
                }
                return;
            }
        }
        self.sorted.extend_from_slice(&self.found);
        let key = |of: u32| (spikes.times[of as usize], spikes.places[of as usize], of);
        sort(&mut self.sorted, |a, b| key(*a) < key(*b));
    }
}

/// What does not change while replicas walk through a process.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) process: &'a ProcessPlan,
    pub(crate) exact: &'a ExactPlan,
    pub(crate) index: usize,
    pub(crate) windows: Windows,
    pub(crate) weights: &'a [f32],
    /// Elements of the memory of a replica.
    pub(crate) block: usize,
}

impl<'a> Site<'a> {
    /// What routines run on that have this memory.
    pub(crate) fn frame<'f>(self, mem: &'f mut [f32], scratch: &'f mut Scratch) -> Frame<'f>
    where
        'a: 'f,
    {
        Frame {
            mem,
            weights: self.weights,
            scratch,
            // Nothing fires but lists, and these keep fields elsewhere.
            fields: 0,
            shape: self.process.shape,
            isa: self.plan.isa,
        }
    }

    /// Where the memory of a replica lies.
    pub(crate) fn of(self, member: usize) -> Range<usize> {
        member * self.block..(member + 1) * self.block
    }
}

/// One process of the replicas of a group.
pub(crate) struct Walk<'a> {
    pub(crate) site: Site<'a>,
    pub(crate) replicas: &'a mut [Replica],
    /// The memories of the replicas.
    pub(crate) memory: &'a mut [f32],
    /// What lists run on.
    pub(crate) common: &'a mut [f32],
    pub(crate) lists: &'a mut Lists,
    pub(crate) scratch: &'a mut Scratch,
}

impl Walk<'_> {
    /// What the routines of a replica run on.
    pub(crate) fn frame(&mut self, member: usize) -> Frame<'_> {
        let memory = &mut self.memory[self.site.of(member)];
        self.site.frame(memory, self.scratch)
    }

    /// Whether a replica has not failed.
    fn sound(&self, member: usize) -> bool {
        self.replicas[member].failure.is_none()
    }

    /// Sends the spikes of the sample on to who takes them.
    pub(crate) fn emit_sample(&mut self) {
        for member in 0..self.replicas.len() {
            self.send(member, 0);
        }
    }

    /// Sends spikes of a replica, from this place of the tape on, to who takes them.
    fn send(&mut self, member: usize, from: usize) {
        let Site {
            plan,
            exact,
            index,
            windows,
            weights,
            ..
        } = self.site;
        let Replica { tapes, courses, .. } = &mut self.replicas[member];
        let spikes = &tapes[index].spikes.lanes;
        for (consumer, input) in &exact.consumers {
            let channel = &plan.processes[*consumer].inputs[*input];
            for (entry, source) in spikes.iter().copied().enumerate().skip(from) {
                let delays = channel.delays.as_ref();
                let late = delays.map(|d| weights[d.values + source as usize]);
                let emitted = courses[index].times[entry];
                if let Some((window, time)) = windows.arrival(emitted, channel, late) {
                    courses[*consumer].waiting.push(Arrival {
                        window,
                        time,
                        input: narrow(*input),
                        source,
                        entry: narrow(entry),
                    });
                }
            }
        }
    }

    /// Takes neurons through a window.
    pub(crate) fn window(&mut self, k: u32) {
        if let Some(window) = &self.site.exact.window {
            for member in 0..self.replicas.len() {
                let mut frame = self.frame(member);
                frame.set_tick(k);
                window.run(Event::at(0, k), &mut frame);
            }
        }
        self.arrivals(Some(k));
        while !self.lists.cursors.is_empty() {
            self.go_ahead();
            self.search(k);
            self.take_next();
        }
        let index = self.site.index;
        for member in 0..self.replicas.len() {
            let replica = &mut self.replicas[member];
            let course = &mut replica.courses[index];
            let from = course.end().spikes;
            course.ends.push(End {
                arrivals: course.arrivals.len(),
                spikes: replica.tapes[index].spikes.lanes.len(),
            });
            self.send(member, from);
        }
    }

    /// The ends of the interval before an arrival, or of the last one.
    fn interval(&self, cursor: &Cursor, before: usize) -> (f32, f32) {
        let bounds = &self.lists.bounds[cursor.bounds + before..];
        (bounds[0], bounds[1])
    }

    /// Takes each replica to an interval to search, or as far as is looked at in one round, and lists the lanes to
    /// search.
    fn go_ahead(&mut self) {
        self.lists.list.clear();
        let Some(search) = &self.site.exact.search else {
            return;
        };
        let ahead = |rows: &Rows| rows.advance.is_some();
        if !search.rows.as_ref().is_some_and(ahead) {
            self.skip_empty();
        }
        let cursors = self.lists.cursors.len();
        match &search.rows {
            Some(rows) => {
                for first in (0..cursors).step_by(rows.replicas) {
                    self.look_ahead(rows, first..cursors.min(first + rows.replicas));
                }
            }
            None => {
                let lanes = narrow(self.site.process.shape.lanes);
                (0..cursors).for_each(|c| self.list(c, 0, 0..lanes));
            }
        }
        self.drop_through();
    }

    /// Nothing is left to do for replicas that are through, or have failed.
    fn drop_through(&mut self) {
        let going = |cursor: &Cursor| cursor.next <= cursor.end;
        self.lists.cursors.retain(going);
    }

    /// Simultaneous arrivals have nothing between them.
    fn skip_empty(&mut self) {
        for c in 0..self.lists.cursors.len() {
            loop {
                let cursor = self.lists.cursors[c];
                if cursor.next >= cursor.end {
                    break;
                }
                let (since, until) = self.interval(&cursor, cursor.next);
                if until > since {
                    break;
                }
                self.take(c);
            }
        }
        self.drop_through();
    }

    /// Looks at the next intervals of some replicas.
    fn look_ahead(&mut self, rows: &Rows, cursors: Range<usize>) {
        let first = cursors.start;
        let elements = rows.elements(cursors.len());
        for c in cursors.clone() {
            self.fill_rows(rows, c, rows.start(c - first), elements);
        }
        let mut frame = self.site.frame(self.common, self.scratch);
        if let Some(advance) = &rows.advance {
            advance.run(elements, &mut frame);
        }
        rows.run(rows.depth() * elements, &mut frame);
        let spikes = std::mem::take(&mut self.scratch.spikes.lanes);
        if rows.advance.is_some() {
            for spike in &spikes {
                let (d, replica, row) = rows.row(*spike, elements);
                if replica < cursors.len() {
                    self.note_left(first + replica, d, spike - row.start);
                }
            }
        } else {
            self.list_rows(rows, cursors.clone(), &spikes);
        }
        self.scratch.spikes.lanes = spikes;
        self.scratch.spikes.lanes.clear();
        for c in cursors {
            let Cursor {
                member,
                next,
                end,
                ahead,
                left,
                ..
            } = self.lists.cursors[c];
            let over = left.unwrap_or(ahead);
            let through = left.is_none() && next + ahead < end;
            if let Some(advance) = &rows.advance {
                let memory = &mut self.memory[self.site.of(member)];
                let start = rows.start(c - first);
                if through && over + 1 == rows.depth() {
                    // All of these arrivals have been taken.
                    advance.end(start, memory, self.common);
                    self.lists.cursors[c].taken = true;
                    self.pass(c, next + over + 1);
                    continue;
                }
                advance.restore(over * elements + start, memory, self.common);
            }
            if let Some(d) = left {
                let cursor = &mut self.lists.cursors[c];
                cursor.left = None;
                let lanes = std::mem::take(&mut cursor.lanes);
                let left = (0..u32::BITS).filter(|lane| lanes >> lane & 1 == 1);
                self.list(c, d, left);
            }
            self.pass(c, next + over);
        }
    }

    /// Puts the next intervals of a replica in the rows that start there.
    fn fill_rows(&mut self, rows: &Rows, c: usize, start: usize, elements: usize) {
        let Lists {
            now,
            bounds,
            numbers,
            cursors,
            ..
        } = &mut *self.lists;
        let cursor = &mut cursors[c];
        let memory = &self.memory[self.site.of(cursor.member)];
        let mut frame = self.site.frame(self.common, self.scratch);
        cursor.ahead = (rows.depth() - 1).min(cursor.end - cursor.next);
        let last = cursor.next + cursor.ahead;
        let arrivals = &now[cursor.next..cursor.end.min(last + 1)];
        let bounds = &bounds[cursor.bounds + cursor.next..=cursor.bounds + last + 1];
        rows.fill(start, elements, bounds, memory, &mut frame);
        if let Some(advance) = &rows.advance {
            advance.begin(start, memory, frame.mem);
            let numbers = &numbers.all[cursor.next * numbers.each..];
            advance.fill(start, elements, arrivals, numbers, &mut frame);
        }
    }

    /// Lists lanes that are left in the next interval of each replica.
    fn list_rows(&mut self, rows: &Rows, cursors: Range<usize>, mut spikes: &[u32]) {
        let elements = rows.elements(cursors.len());
        while let Some(spike) = spikes.first() {
            let (_, replica, row) = rows.row(*spike, elements);
            let behind = spikes.iter().position(|spike| !row.contains(spike));
            let (now, later) = spikes.split_at(behind.unwrap_or(spikes.len()));
            spikes = later;
            if replica < cursors.len() {
                let lanes = now.iter().map(|spike| spike - row.start);
                let lanes = lanes.filter(|lane| *lane < rows.lanes);
                self.list(cursors.start + replica, 0, lanes);
            }
        }
    }

    /// Notes a lane that is left in one of the next intervals of a replica, if that is the first in which any is.
    fn note_left(&mut self, c: usize, d: usize, lane: u32) {
        let cursor = self.lists.cursors[c];
        let rows = self.site.process.shape.lanes;
        if d > cursor.ahead || cursor.left.is_some_and(|left| left < d) || lane as usize >= rows {
            return;
        }
        let (since, until) = self.interval(&cursor, cursor.next + d);
        if until > since {
            let cursor = &mut self.lists.cursors[c];
            cursor.left = Some(d);
            cursor.lanes |= 1 << lane;
        }
    }

    /// Lists lanes of a replica for a search of one of the next intervals.
    fn list(&mut self, c: usize, d: usize, lanes: impl Iterator<Item = u32>) {
        let cursor = self.lists.cursors[c];
        let (since, until) = self.interval(&cursor, cursor.next + d);
        // Simultaneous arrivals have nothing between them.
        if until > since {
            let base = self.site.of(cursor.member).start;
            let list = &mut self.lists.list;
            list.extend(cursor.member, base, lanes, (since, until));
        }
    }

    /// Finds the spikes of the lanes of the list in their intervals, and records them.
    fn search(&mut self, k: u32) {
        let Some(search) = &self.site.exact.search else {
            return;
        };
        let Lists { list, found, .. } = &mut *self.lists;
        if list.is_empty() {
            return;
        }
        found.clear();
        let mut frame = self.site.frame(self.common, self.scratch);
        while !list.is_empty() {
            let first = found.spikes.places.len();
            for part in list.parts() {
                let start = part.start;
                let block = self.site.block;
                search.code.run(list, part, self.memory, block, &mut frame);
                // A body that never spikes may store all the same.
                if let Some(places) = &search.code.spikes {
                    let fired = &mut frame.scratch.spikes.lanes;
                    found.take(list, start, fired, places, frame.mem);
                    fired.clear();
                }
            }
            let pass = first..found.spikes.places.len();
            // Again since that spike, but for lanes that spiked twice at once.
            let again = found.passes.is_empty();
            list.refill(&found.spikes, pass.clone(), |entry| {
                again || found.later[entry]
            });
            found.passes.push(pass);
        }
        for c in 0..self.lists.cursors.len() {
            let member = self.lists.cursors[c].member;
            let Lists { found, order, .. } = &mut *self.lists;
            order.of_replica(member, found, self.site.plan.isa);
            if !self.record(k, member) {
                self.lists.cursors[c].next = usize::MAX;
            }
        }
        self.drop_through();
    }

    /// Records the spikes of a replica, which are in order; whether there is room.
    fn record(&mut self, k: u32, member: usize) -> bool {
        let Site { process, index, .. } = self.site;
        let Replica { tapes, courses, .. } = &mut self.replicas[member];
        let own = &mut tapes[index].spikes;
        let Lists { found, order, .. } = &*self.lists;
        let (spikes, order) = (&found.spikes, &order.sorted);
        if own.lanes.len() + order.len() > process.bound {
            return self.full(member, "own spikes", process.bound);
        }
        let base = narrow(self.site.of(member).start);
        let lanes = order.iter().map(|of| spikes.places[*of as usize] - base);
        own.lanes.extend(lanes);
        let times = order.iter().map(|of| (k, spikes.times[*of as usize]));
        courses[index].times.extend(times);
        for of in order {
            let of = *of as usize * process.fields;
            for field in &spikes.fields[of..of + process.fields] {
                own.fields.push(*field);
            }
        }
        true
    }

    /// Each replica takes its next arrival, or is through.
    fn take_next(&mut self) {
        for c in 0..self.lists.cursors.len() {
            let cursor = &mut self.lists.cursors[c];
            if std::mem::take(&mut cursor.taken) {
                continue;
            }
            if cursor.next < cursor.end {
                self.take(c);
            } else {
                cursor.next = usize::MAX;
            }
        }
        self.drop_through();
    }

    /// A replica takes its next arrival.
    fn take(&mut self, c: usize) {
        let Cursor { member, next, .. } = self.lists.cursors[c];
        self.event(member, next);
        self.pass(c, next + 1);
    }

    /// Notes that a replica has taken its arrivals up to this one.
    fn pass(&mut self, c: usize, until: usize) {
        let index = self.site.index;
        let cursor = &mut self.lists.cursors[c];
        let member = cursor.member;
        let Replica { tapes, courses, .. } = &mut self.replicas[member];
        let before = &mut courses[index].before;
        let own = tapes[index].spikes.lanes.len();
        before.resize(before.len() + (until - cursor.next), own);
        cursor.next = until;
        if let Some((at, bound)) = cursor.full
            && at < until
        {
            cursor.next = usize::MAX;
            self.full(member, "received spikes", bound);
        }
    }

    /// Takes the loss through the sample.
    pub(crate) fn loss(&mut self) {
        self.arrivals(None);
        while !self.lists.cursors.is_empty() {
            self.take_next();
        }
        for member in 0..self.replicas.len() {
            if self.sound(member) {
                self.values(member);
            }
        }
    }

    /// Takes the values of all read-outs.
    fn values(&mut self, member: usize) {
        let Site { plan, windows, .. } = self.site;
        let memory = &mut self.memory[self.site.of(member)];
        let mut frame = self.site.frame(memory, self.scratch);
        for input in &self.site.process.inputs {
            if let Some(lanes) = input.values
                && let Some(event) = &input.event
            {
                frame.mem[TIME as usize] = windows.horizon();
                let values = &self.replicas[member].tapes[input.from].values[..lanes];
                event.run_values(&plan.lanes[..lanes], values, 0, &mut frame);
            }
        }
    }

    /// Emits a state, when the last window has ended.
    pub(crate) fn emit(&mut self) {
        let Site { process, index, .. } = self.site;
        if let Emission::State(base) = process.emission {
            for (member, replica) in self.replicas.iter_mut().enumerate() {
                let start = self.site.of(member).start + base;
                let state = &self.memory[start..start + process.shape.lanes];
                replica.tapes[index].values.extend_from_slice(state);
            }
        }
    }

    /// The arrivals of a window, or all of them at their times from the beginning, in order.
    fn arrivals(&mut self, k: Option<u32>) {
        let Site { index, windows, .. } = self.site;
        let Lists {
            now,
            bounds,
            cursors,
            ..
        } = &mut *self.lists;
        now.clear();
        bounds.clear();
        cursors.clear();
        for (member, replica) in self.replicas.iter_mut().enumerate() {
            if replica.failure.is_some() {
                continue;
            }
            let start = now.len();
            let course = &mut replica.courses[index];
            course.due(k.filter(|_| windows.count > 1), now);
            let own = &mut now[start..];
            if k.is_none() {
                for arrival in &mut *own {
                    arrival.time = since_start(windows.bins, arrival.window, arrival.time);
                }
            }
            sort(own, |a, b| {
                let key = |a: &Arrival| (a.input, a.source, a.entry);
                a.time < b.time || (a.time == b.time && key(a) < key(b))
            });
            course.arrivals.extend_from_slice(own);
            let mut full = None;
            for (at, arrival) in own.iter().enumerate() {
                let received = &mut course.received[arrival.input as usize];
                *received += 1;
                let bound = self.site.process.inputs[arrival.input as usize].bound;
                if *received > bound && full.is_none() {
                    full = Some((start + at, bound));
                }
            }
            let first = bounds.len();
            bounds.push(0.0);
            bounds.extend(own.iter().map(|arrival| arrival.time));
            bounds.push(windows.end(k.unwrap_or(0)));
            cursors.push(Cursor {
                member,
                next: start,
                end: now.len(),
                // Each replica has two more of them than arrivals.
                bounds: first - start,
                full,
                ahead: 0,
                left: None,
                lanes: 0,
                taken: false,
            });
        }
        self.prepare();
    }

    /// Has handlers make of all times what they make of them alone.
    fn prepare(&mut self) {
        let inputs = &self.site.process.inputs;
        let counts = inputs.iter().flat_map(|input| &input.prepared);
        let each = counts.map(|prepared| prepared.count()).max().unwrap_or(0);
        let Lists { now, numbers, .. } = &mut *self.lists;
        numbers.each = each;
        numbers.all.resize(now.len() * each, 0.0);
        for (number, input) in (0..).zip(inputs) {
            let Some(prepared) = &input.prepared else {
                continue;
            };
            numbers.times.clear();
            numbers.places.clear();
            for (at, arrival) in now.iter().enumerate() {
                if arrival.input == number {
                    numbers.times.push(arrival.time);
                    numbers.places.push(at * each);
                }
            }
            let Numbers {
                all, times, places, ..
            } = numbers;
            let mut frame = self.site.frame(self.common, self.scratch);
            prepared.prepare(times, places, all, &mut frame);
        }
    }

    /// Runs the handler of one of the arrivals.
    fn event(&mut self, member: usize, at: usize) {
        let arrival = self.lists.now[at];
        let input = &self.site.process.inputs[arrival.input as usize];
        let memory = &mut self.memory[self.site.of(member)];
        let mut frame = self.site.frame(memory, self.scratch);
        frame.mem[TIME as usize] = arrival.time;
        let event = Event::at(arrival.source, 0);
        if let Some(prepared) = &input.prepared {
            let numbers = &self.lists.numbers;
            prepared.choose(&numbers.all[at * numbers.each..], &mut frame);
            prepared.each.run(event, &mut frame);
        } else if let Some(routine) = &input.event {
            routine.run(event, &mut frame);
        }
    }

    /// Notes that a tape of a replica is full, and says no.
    fn full(&mut self, member: usize, what: &'static str, bound: usize) -> bool {
        self.replicas[member].failure = Some(Failure {
            round: 0,
            process: self.site.index,
            what,
            bound,
        });
        false
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "counts of spikes and elements fit 32 bits"
)]
pub(crate) fn narrow(count: usize) -> u32 {
    count as u32
}
