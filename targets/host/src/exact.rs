//! Programs of exact event times: the order in which handlers run.
//!
//! A process goes through a window arrival by arrival, and searches the intervals between them for spikes
//! (`search`). What it went through is kept, with times, for the way back. Spikes are sent on when the window is over:
//! each is then among what waits for its consumer, with the window and the time of its arrival.

use nirc_ir::executor::InputSpike;

use crate::arrivals::{ARRIVALS, Batch};
use crate::frame::{Event, Events, Frame, SINCE, TIME, UNTIL};
use crate::lists::{INTERVALS, Intervals, List};
use crate::plan::{Emission, ExactPlan, Input, Plan, ProcessPlan};
use crate::replica::Failure;
use crate::tape::Tape;

/// What a process of exact event times went through in a sample, beside its tape.
#[derive(Clone, Default)]
pub(crate) struct Course {
    /// Window and time of each spike on the tape.
    pub(crate) times: Vec<(u32, f32)>,
    /// Whether any channel brought an error of it.
    answered: Vec<bool>,
    /// Arrivals of later windows.
    waiting: Vec<Arrival>,
    /// Arrivals and own spikes in order.
    passed: Vec<Passed>,
    /// How many of these there were when each window was over.
    ends: Vec<usize>,
    /// Spikes that each channel brought.
    received: Vec<usize>,
}

/// A spike on its way to a process, or what became of it.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    window: u32,
    time: f32,
    /// Number of the channel among those of the consumer.
    input: u32,
    source: u32,
    /// Its place on the producer's tape.
    entry: u32,
}

/// Something that a process went through.
#[derive(Clone, Copy, Debug)]
enum Passed {
    Arrival(Arrival),
    /// An own spike, by its place on the tape.
    Own(u32),
}

/// What searches leave; kept, so that nothing is allocated twice.
#[derive(Default)]
pub(crate) struct Lists {
    list: List,
    /// Those that spiked, which are searched again.
    again: List,
    found: Vec<Found>,
    /// Fields of each that was found.
    fields: Vec<f32>,
    now: Vec<Arrival>,
    /// For which part of these each channel's handler is prepared.
    prepared: Vec<Option<usize>>,
    /// The batch of own spikes in which a lane was last.
    batches: Vec<u32>,
    batch: u32,
    /// Arrivals that are gone back through together, and their places on the tape of the producer.
    arrivals: Batch,
    entries: Vec<u32>,
    input: u32,
    /// The batch of arrivals in which a source was last.
    sources: Vec<u32>,
    round: u32,
}

/// A spike in an interval.
#[derive(Clone, Copy)]
struct Found {
    time: f32,
    lane: u32,
    /// When it was found.
    order: u32,
}

impl Course {
    /// Forgets the last sample.
    pub(crate) fn clear(&mut self, inputs: usize) {
        self.times.clear();
        self.waiting.clear();
        self.passed.clear();
        self.ends.clear();
        self.received.clear();
        self.received.resize(inputs, 0);
    }

    /// Fills the tape of a source that has so many channels of the sample.
    #[expect(clippy::cast_precision_loss, reason = "bins are below 2^24")]
    pub(crate) fn record<'s>(
        &mut self,
        tape: &mut Tape,
        windows: Windows,
        spikes: impl Iterator<Item = (&'s InputSpike, &'s f32)>,
        first: u32,
        lanes: usize,
    ) {
        for (spike, time) in spikes {
            let lane = spike.channel.wrapping_sub(first);
            if (lane as usize) < lanes {
                let k = spike.tick / windows.bins;
                tape.spikes.lanes.push(lane);
                self.times.push((k, *time - (k * windows.bins) as f32));
            }
        }
    }
}

impl Lists {
    /// For processes of so many lanes at most.
    pub(crate) fn new(lanes: usize) -> Self {
        Self {
            batches: vec![0; lanes],
            sources: vec![0; lanes],
            ..Self::default()
        }
    }
}

/// Sorts what is few, or almost in order; all are different.
fn sort<T: Copy>(items: &mut [T], before: impl Fn(&T, &T) -> bool) {
    const FEW: usize = 24;
    let mut sorted = 1;
    let mut moved = 0;
    while sorted < items.len() {
        let item = items[sorted];
        let mut at = sorted;
        while at > 0 && before(&item, &items[at - 1]) {
            items[at] = items[at - 1];
            at -= 1;
            moved += 1;
        }
        items[at] = item;
        sorted += 1;
        if moved > FEW * FEW {
            break;
        }
    }
    if sorted < items.len() {
        items.sort_unstable_by(|a, b| match before(a, b) {
            true => std::cmp::Ordering::Less,
            false if before(b, a) => std::cmp::Ordering::Greater,
            false => std::cmp::Ordering::Equal,
        });
    }
}

/// Lanes that are looked at together.
const PART: usize = 16;

/// A time of window `k` from the beginning of the sample.
#[expect(clippy::cast_precision_loss, reason = "bins are below 2^24")]
pub(crate) fn since_start(window: u32, k: u32, time: f32) -> f32 {
    (k * window) as f32 + time
}

/// Windows of a program.
#[derive(Clone, Copy)]
pub(crate) struct Windows {
    pub(crate) count: u32,
    /// Bins of all but the last.
    pub(crate) bins: u32,
    /// Where the last one ends.
    pub(crate) rest: u32,
}

impl Windows {
    /// The end of the sample.
    #[expect(clippy::cast_precision_loss, reason = "bins are below 2^24")]
    fn horizon(self) -> f32 {
        ((self.count - 1) * self.bins + self.rest) as f32
    }

    #[expect(clippy::cast_precision_loss, reason = "bins are below 2^24")]
    fn end(self, k: u32) -> f32 {
        let bins = if k + 1 < self.count {
            self.bins
        } else {
            self.rest
        };
        bins as f32
    }

    /// The window and time at which a spike arrives, if it does.
    #[expect(clippy::cast_precision_loss, reason = "bins are below 2^24")]
    fn arrival(
        self,
        (mut k, time): (u32, f32),
        input: &Input,
        late: Option<f32>,
    ) -> Option<(u32, f32)> {
        let mut time = time + input.delay as f32;
        if let Some(late) = late {
            time += if late > 0.0 { late } else { 0.0 };
        }
        let bins = self.bins as f32;
        while time >= bins && k + 1 < self.count {
            time -= bins;
            k += 1;
        }
        (time < self.end(k)).then_some((k, time))
    }
}

/// One process in a sample.
pub(crate) struct Walk<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) process: &'a ProcessPlan,
    pub(crate) exact: &'a ExactPlan,
    pub(crate) index: usize,
    pub(crate) tapes: &'a mut [Tape],
    pub(crate) courses: &'a mut [Course],
    pub(crate) lists: &'a mut Lists,
    pub(crate) windows: Windows,
    pub(crate) frame: Frame<'a>,
}

impl Walk<'_> {
    /// Sends the spikes from this place of the tape on to who takes them.
    pub(crate) fn send(&mut self, from: usize) {
        let spikes = &self.tapes[self.index].spikes.lanes;
        for (consumer, input) in &self.exact.consumers {
            let channel = &self.plan.processes[*consumer].inputs[*input];
            for (entry, source) in spikes.iter().copied().enumerate().skip(from) {
                let delays = channel.delays.as_ref();
                let late = delays.map(|d| self.frame.weights[d.values + source as usize]);
                let emitted = self.courses[self.index].times[entry];
                if let Some((window, time)) = self.windows.arrival(emitted, channel, late) {
                    self.courses[*consumer].waiting.push(Arrival {
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
    pub(crate) fn window(&mut self, k: u32) -> Option<Failure> {
        if let Some(window) = &self.exact.window {
            self.frame.set_tick(k);
            window.run(Event::at(0, k), &mut self.frame);
        }
        let first = self.tapes[self.index].spikes.lanes.len();
        self.arrivals(Some(k));
        let intervals = self.exact.search.as_ref();
        if let Some(intervals) = intervals.and_then(|s| s.intervals.as_ref()) {
            let failure = self.speculate(k, intervals);
            self.close_window(first);
            return failure;
        }
        let mut now = 0.0;
        for next in 0..self.lists.now.len() {
            let arrival = self.lists.now[next];
            let failure = self
                .search(k, now, arrival.time)
                .or_else(|| self.take(next));
            if failure.is_some() {
                return failure;
            }
            now = arrival.time;
        }
        let failure = self.search(k, now, self.windows.end(k));
        self.close_window(first);
        failure
    }

    fn close_window(&mut self, first: usize) {
        let course = &mut self.courses[self.index];
        course.ends.push(course.passed.len());
        self.send(first);
    }

    /// The ends of the interval before an arrival, or of the last one.
    fn interval(&self, k: u32, before: usize) -> (f32, f32) {
        let now = &self.lists.now;
        let since = before.checked_sub(1).map_or(0.0, |last| now[last].time);
        let until = now.get(before).map_or(self.windows.end(k), |a| a.time);
        (since, until)
    }

    /// Takes a process of few lanes through a window, several arrivals at once as if nothing spiked between
    /// them, and from the first spike on anew.
    fn speculate(&mut self, k: u32, intervals: &Intervals) -> Option<Failure> {
        let arrivals = self.lists.now.len();
        let mut next = 0;
        while next <= arrivals {
            let rows = INTERVALS.min(arrivals + 1 - next);
            for row in 0..rows {
                intervals.keep(row, self.interval(k, next + row), &mut self.frame);
                if row + 1 < rows {
                    self.event(next + row);
                }
            }
            intervals.run(rows, &mut self.frame);
            let spikes = (0..rows).find(|row| {
                let (since, until) = self.interval(k, next + row);
                let alive = intervals.alive(*row, &self.frame);
                until > since && alive.iter().any(|alive| *alive != 0.0)
            });
            let over = spikes.unwrap_or(rows - 1);
            let failure = (next..next + over).find_map(|at| self.count(self.lists.now[at]));
            if failure.is_some() {
                return failure;
            }
            if let Some(row) = spikes {
                intervals.restore(row, &mut self.frame);
                self.lists.list.clear();
                let alive = intervals.alive(row, &self.frame);
                let left = (0..).zip(alive).filter(|(_, alive)| **alive != 0.0);
                self.lists.list.lanes.extend(left.map(|(lane, _)| lane));
                let (since, until) = self.interval(k, next + row);
                let failure = self.search_list(k, since, until);
                if failure.is_some() {
                    return failure;
                }
            }
            next += over;
            if next < arrivals {
                let failure = self.take(next);
                if failure.is_some() {
                    return failure;
                }
            }
            next += 1;
        }
        None
    }

    /// Takes the loss through the sample.
    pub(crate) fn loss(&mut self) -> Option<Failure> {
        self.arrivals(None);
        let failure = (0..self.lists.now.len()).find_map(|next| self.take(next));
        if failure.is_none() {
            self.values();
        }
        failure
    }

    /// Takes the values of all read-outs.
    fn values(&mut self) {
        for input in &self.process.inputs {
            if let Some(lanes) = input.values
                && let Some(event) = &input.event
            {
                self.frame.mem[TIME as usize] = self.windows.horizon();
                let values = &self.tapes[input.from].values[..lanes];
                event.run_values(&self.plan.lanes[..lanes], values, 0, &mut self.frame);
            }
        }
    }

    /// Emits a state, when the last window has ended.
    pub(crate) fn emit(&mut self) {
        if let Emission::State(base) = self.process.emission {
            let state = &self.frame.mem[base..base + self.process.shape.lanes];
            self.tapes[self.index].values.extend_from_slice(state);
        }
    }

    /// The arrivals of a window, or all of them at their times from the beginning, in order.
    fn arrivals(&mut self, k: Option<u32>) {
        self.lists.prepared.clear();
        self.lists.prepared.resize(self.process.inputs.len(), None);
        let now = &mut self.lists.now;
        now.clear();
        let waiting = &mut self.courses[self.index].waiting;
        match k {
            Some(k) if self.windows.count > 1 => waiting.retain(|arrival| {
                let due = arrival.window == k;
                if due {
                    now.push(*arrival);
                }
                !due
            }),
            _ => std::mem::swap(now, waiting),
        }
        if k.is_none() {
            for arrival in &mut *now {
                arrival.time = since_start(self.windows.bins, arrival.window, arrival.time);
            }
        }
        sort(now, |a, b| {
            let key = |a: &Arrival| (a.input, a.source, a.entry);
            a.time < b.time || (a.time == b.time && key(a) < key(b))
        });
    }

    fn take(&mut self, at: usize) -> Option<Failure> {
        let failure = self.count(self.lists.now[at]);
        if failure.is_none() {
            self.event(at);
        }
        failure
    }

    /// Runs the handler of one of the arrivals.
    fn event(&mut self, at: usize) {
        let arrival = self.lists.now[at];
        let number = arrival.input as usize;
        let input = &self.process.inputs[number];
        self.frame.mem[TIME as usize] = arrival.time;
        let event = Event::at(arrival.source, 0);
        if let Some(prepared) = &input.prepared {
            let part = at / ARRIVALS;
            if self.lists.prepared[number] != Some(part) {
                let now = &self.lists.now[part * ARRIVALS..];
                let times = now[..now.len().min(ARRIVALS)].iter().map(|a| a.time);
                prepared.prepare(times, &mut self.frame);
                self.lists.prepared[number] = Some(part);
            }
            prepared.choose(at % ARRIVALS, &mut self.frame);
            prepared.each.run(event, &mut self.frame);
        } else if let Some(routine) = &input.event {
            routine.run(event, &mut self.frame);
        }
    }

    /// Notes that something arrived.
    fn count(&mut self, arrival: Arrival) -> Option<Failure> {
        let course = &mut self.courses[self.index];
        let input = &self.process.inputs[arrival.input as usize];
        let received = &mut course.received[arrival.input as usize];
        *received += 1;
        if *received > input.bound {
            return Some(self.full("received spikes", input.bound));
        }
        course.passed.push(Passed::Arrival(arrival));
        None
    }

    /// Finds the spikes of an interval.
    fn search(&mut self, k: u32, since: f32, until: f32) -> Option<Failure> {
        // Simultaneous arrivals have nothing between them.
        let search = self.exact.search.as_ref().filter(|_| until > since)?;
        let list = &mut self.lists.list;
        self.frame.mem[UNTIL as usize] = until;
        list.clear();
        match &search.filter {
            Some(filter) => {
                self.frame.mem[SINCE as usize] = since;
                filter.routine.run(Event::default(), &mut self.frame);
                let alive = &self.frame.mem[filter.alive..][..self.frame.shape.lanes];
                for (first, alive) in (0..).step_by(PART).zip(alive.chunks(PART)) {
                    // Most lanes have nothing to search for.
                    if alive.iter().fold(false, |any, alive| any | (*alive != 0.0)) {
                        let left = (first..).zip(alive).filter(|(_, alive)| **alive != 0.0);
                        list.lanes.extend(left.map(|(lane, _)| lane));
                    }
                }
            }
            None => list.lanes.extend(0..narrow(self.frame.shape.lanes)),
        }
        self.search_list(k, since, until)
    }

    /// Finds the spikes of an interval on the lanes of the list.
    fn search_list(&mut self, k: u32, since: f32, until: f32) -> Option<Failure> {
        let search = self.exact.search.as_ref()?;
        let Lists {
            list,
            again,
            found,
            fields,
            ..
        } = &mut *self.lists;
        if list.lanes.is_empty() {
            return None;
        }
        self.frame.mem[UNTIL as usize] = until;
        list.times.resize(list.lanes.len(), since);
        found.clear();
        fields.clear();
        let mut first = true;
        while !list.lanes.is_empty() {
            self.frame.fields += 1;
            search.code.run(list, &mut self.frame);
            self.frame.fields -= 1;
            again.clear();
            let spikes = &mut self.frame.scratch.spikes;
            let count = self.frame.fields;
            for (place, of_spike) in spikes
                .lanes
                .iter()
                .zip(spikes.fields.chunks_exact(count + 1))
            {
                let (lane, since) = (list.lanes[*place as usize], list.times[*place as usize]);
                let time = of_spike[count];
                let time = if time > since { time } else { since };
                let time = if time < until { time } else { until };
                fields.extend_from_slice(&of_spike[..count]);
                found.push(Found {
                    time,
                    lane,
                    order: narrow(found.len()),
                });
                if first || time > since {
                    again.lanes.push(lane);
                    again.times.push(time);
                }
            }
            spikes.lanes.clear();
            spikes.fields.clear();
            std::mem::swap(list, again);
            first = false;
        }
        sort(found, |a, b| {
            let key = |a: &Found| (a.lane, a.order);
            a.time < b.time || (a.time == b.time && key(a) < key(b))
        });
        self.record(k)
    }

    /// Records the spikes that were found.
    fn record(&mut self, k: u32) -> Option<Failure> {
        let own = &mut self.tapes[self.index].spikes;
        let course = &mut self.courses[self.index];
        let count = self.process.fields;
        for found in &self.lists.found {
            if own.lanes.len() >= self.process.bound {
                return Some(self.full("own spikes", self.process.bound));
            }
            course.passed.push(Passed::Own(narrow(own.lanes.len())));
            course.times.push((k, found.time));
            own.lanes.push(found.lane);
            let fields = &self.lists.fields[found.order as usize * count..][..count];
            own.fields.extend_from_slice(fields);
        }
        None
    }

    fn full(&self, what: &'static str, bound: usize) -> Failure {
        Failure {
            round: 0,
            process: self.index,
            what,
            bound,
        }
    }

    /// Makes room for errors of everything that was emitted. One that does not come adds nothing.
    pub(crate) fn expect_errors(&mut self) {
        let tape = &mut self.tapes[self.index];
        let spikes = tape.spikes.lanes.len();
        let emitted = spikes + tape.values.len();
        tape.errors.clear();
        tape.errors
            .resize(emitted * self.process.errors.len(), -0.0);
        let answered = &mut self.courses[self.index].answered;
        answered.clear();
        answered.resize(spikes, false);
    }

    /// Takes the loss back through the sample.
    pub(crate) fn loss_back(&mut self) {
        for input in &self.process.inputs {
            if let Some((lanes, message)) = input.values.zip(input.message.as_ref()) {
                self.frame.mem[TIME as usize] = self.windows.horizon();
                let errors = &mut self.tapes[input.from].errors;
                let mut events = Events {
                    sources: &self.plan.lanes[..lanes],
                    sent: &mut errors[message.slot * lanes..][..lanes],
                    ..Events::in_bin(0)
                };
                message.routine.run_all(&mut events, &mut self.frame);
            }
        }
        let passed = self.courses[self.index].passed.len();
        self.back(0..passed);
    }

    /// Begins the way back of neurons: their turn, and the errors of what they emitted.
    fn turn(&mut self) {
        if let Some(turn) = self.process.turn.first() {
            turn.run(Event::default(), &mut self.frame);
        }
        let Some((sums, value)) = &self.process.value else {
            return;
        };
        let lanes = self.process.shape.lanes;
        let mut errors = self.tapes[self.index].errors.chunks_exact(lanes);
        let sums = &mut self.frame.mem[*sums..][..lanes];
        let Some(first) = errors.next() else { return };
        sums.copy_from_slice(first);
        for errors in errors {
            let sums = sums.iter_mut().zip(errors);
            sums.for_each(|(sum, error)| *sum += error);
        }
        value.run(Event::default(), &mut self.frame);
    }

    /// Takes neurons back through window `k`.
    pub(crate) fn window_back(&mut self, k: u32) {
        if k + 1 == self.windows.count {
            self.turn();
        }
        let ends = &self.courses[self.index].ends;
        let k_th = k as usize;
        let from = if k == 0 { 0 } else { ends[k_th - 1] };
        self.back(from..ends[k_th]);
        if let Some(window) = &self.exact.adjoint_window {
            self.frame.set_tick(k);
            window.run(Event::at(0, k), &mut self.frame);
        }
    }

    fn back(&mut self, range: std::ops::Range<usize>) {
        self.new_batch();
        self.new_round();
        for at in range.rev() {
            match self.courses[self.index].passed[at] {
                Passed::Own(entry) => {
                    self.arrivals_back();
                    self.own(entry as usize);
                }
                Passed::Arrival(arrival) => {
                    self.own_batch();
                    match self.exact.back[arrival.input as usize] {
                        Some(_) => self.collect(arrival),
                        None => {
                            self.arrivals_back();
                            self.arrival_back(arrival);
                        }
                    }
                }
            }
        }
        self.arrivals_back();
        self.own_batch();
    }

    fn new_round(&mut self) {
        let lists = &mut *self.lists;
        lists.arrivals.sources.clear();
        lists.arrivals.times.clear();
        lists.entries.clear();
        lists.round = lists.round.wrapping_add(1);
        if lists.round == 0 {
            lists.sources.fill(0);
            lists.round = 1;
        }
    }

    /// Adds an arrival to those that are gone back through together, each of another source of one channel.
    fn collect(&mut self, arrival: Arrival) {
        let lists = &*self.lists;
        let source = arrival.source as usize;
        if lists.entries.len() == ARRIVALS
            || lists.input != arrival.input
            || lists.sources[source] == lists.round
        {
            self.arrivals_back();
        }
        let lists = &mut *self.lists;
        lists.input = arrival.input;
        lists.sources[source] = lists.round;
        lists.arrivals.sources.push(arrival.source);
        lists.arrivals.times.push(arrival.time);
        lists.entries.push(arrival.entry);
    }

    fn arrivals_back(&mut self) {
        if self.lists.entries.is_empty() {
            return;
        }
        let number = self.lists.input as usize;
        let input = &self.process.inputs[number];
        let Some(code) = &self.exact.back[number] else {
            return;
        };
        if let Some((code, message)) = code.message.as_ref().zip(input.message.as_ref()) {
            code.run(&self.lists.arrivals, &mut self.frame);
            for k in 0..self.lists.entries.len() {
                let error = code.sent(k, &self.frame);
                let source = self.lists.arrivals.sources[k];
                self.answer(input, message.slot, (source, self.lists.entries[k]), error);
            }
        }
        if let Some(code) = &code.gradient {
            code.run(&self.lists.arrivals, &mut self.frame);
        }
        self.new_round();
    }

    /// Keeps the error of a spike that a channel brought.
    fn answer(&mut self, input: &Input, slot: usize, (source, entry): (u32, u32), error: f32) {
        let entry = entry as usize;
        let channels = self.plan.processes[input.from].errors.len();
        self.tapes[input.from].errors[entry * channels + slot] = error;
        self.courses[input.from].answered[entry] = true;
        let gradient = input.delays.as_ref().and_then(|d| d.gradient);
        if let Some(gradient) = gradient {
            self.frame.mem[gradient + source as usize] += error;
        }
    }

    fn new_batch(&mut self) {
        self.lists.list.clear();
        self.lists.batch = self.lists.batch.wrapping_add(1);
        if self.lists.batch == 0 {
            self.lists.batches.fill(0);
            self.lists.batch = 1;
        }
    }

    /// Adds an own spike to those that are gone back through together, each on a lane of its own.
    fn own(&mut self, entry: usize) {
        if self.exact.spike.is_none() {
            return;
        }
        let own = &self.tapes[self.index];
        let lane = own.spikes.lanes[entry];
        if self.lists.batches[lane as usize] == self.lists.batch {
            self.own_batch();
        }
        self.lists.batches[lane as usize] = self.lists.batch;
        let own = &self.tapes[self.index];
        let course = &self.courses[self.index];
        let channels = self.process.errors.len();
        let errors = own.errors[entry * channels..][..channels].iter();
        let error = match course.answered[entry] {
            true => errors.copied().reduce(|sum, e| sum + e).unwrap_or(0.0),
            false => 0.0,
        };
        let list = &mut self.lists.list;
        list.lanes.push(lane);
        list.times.push(course.times[entry].1);
        list.payloads.push(error);
        let fields = &own.spikes.fields[entry * self.process.fields..][..self.process.fields];
        list.fields.extend_from_slice(fields);
    }

    fn own_batch(&mut self) {
        if let Some(code) = &self.exact.spike
            && !self.lists.list.lanes.is_empty()
        {
            code.run(&self.lists.list, &mut self.frame);
            self.new_batch();
        }
    }

    fn arrival_back(&mut self, arrival: Arrival) {
        let input = &self.process.inputs[arrival.input as usize];
        self.frame.mem[TIME as usize] = arrival.time;
        if let Some(message) = &input.message {
            let mut sent = [0.0];
            let mut events = Events {
                sources: &[arrival.source],
                sent: &mut sent,
                ..Events::in_bin(0)
            };
            message.routine.run_all(&mut events, &mut self.frame);
            let [error] = sent;
            self.answer(input, message.slot, (arrival.source, arrival.entry), error);
        }
        if let Some(gradient) = &input.gradient {
            gradient.run(Event::at(arrival.source, 0), &mut self.frame);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "counts of spikes fit 32 bits"
)]
fn narrow(count: usize) -> u32 {
    count as u32
}
