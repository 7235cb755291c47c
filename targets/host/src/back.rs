//! Programs of exact event times: the way back.
//!
//! Each replica goes back through its course, own spikes and arrivals in the reversed order. Those of a replica that
//! lie next to one another run together if none of them sees what another one writes: own spikes on different lanes,
//! arrivals from different sources. And those of all replicas of a group run together: a round takes each over its next
//! own spikes, then over the arrivals before these.

use std::ops::Range;

use crate::arrivals::{ARRIVALS, Batch};
use crate::course::{Arrival, Course, End};
use crate::exact::{Site, Walk, narrow};
use crate::frame::{Event, Events, TIME};
use crate::plan::Input;
use crate::replica::Replica;

/// What the way back works with; kept, so that nothing is allocated twice.
#[derive(Default)]
pub(crate) struct Back {
    cursors: Vec<Cursor>,
    /// Arrivals that are gone back through together, by channel.
    batches: Vec<Batch>,
    /// The round in which a lane of a replica was last, as its own spike or as the source of an arrival.
    own: Vec<u32>,
    sources: Vec<u32>,
    round: u32,
    /// Lanes of a replica there.
    stride: usize,
}

/// Where a replica is on its way back, and where that ends.
#[derive(Clone, Copy)]
struct Cursor {
    member: usize,
    start: End,
    next: End,
}

impl Back {
    /// For so many replicas of processes of so many lanes at most.
    pub(crate) fn new(lanes: usize, replicas: usize) -> Self {
        Self {
            own: vec![0; lanes * replicas],
            sources: vec![0; lanes * replicas],
            stride: lanes,
            ..Self::default()
        }
    }

    fn new_round(&mut self) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.own.fill(0);
            self.sources.fill(0);
            self.round = 1;
        }
    }
}

/// Whether a lane of a replica is new in this round.
fn is_new(seen: &mut u32, round: u32) -> bool {
    std::mem::replace(seen, round) != round
}

impl Walk<'_> {
    /// Makes room for errors of everything that was emitted. One that does not come adds nothing.
    pub(crate) fn expect_errors(&mut self) {
        let Site { process, index, .. } = self.site;
        for replica in &mut *self.replicas {
            let tape = &mut replica.tapes[index];
            let spikes = tape.spikes.lanes.len();
            let emitted = spikes + tape.values.len();
            tape.errors.clear();
            tape.errors.resize(emitted * process.errors.len(), -0.0);
            let answered = &mut replica.courses[index].answered;
            answered.clear();
            answered.resize(spikes, false);
        }
    }

    /// Takes the loss back through the sample.
    pub(crate) fn loss_back(&mut self) {
        for member in 0..self.replicas.len() {
            self.errors_of_values(member);
        }
        let all = |course: &Course| End {
            arrivals: course.arrivals.len(),
            spikes: 0,
        };
        self.go_back(|course| (End::default(), all(course)));
    }

    /// The loss sends an error for each value.
    fn errors_of_values(&mut self, member: usize) {
        let Site { plan, windows, .. } = self.site;
        let memory = &mut self.memory[self.site.of(member)];
        let mut frame = self.site.frame(memory, self.scratch);
        for input in &self.site.process.inputs {
            if let Some((lanes, message)) = input.values.zip(input.message.as_ref()) {
                frame.mem[TIME as usize] = windows.horizon();
                let errors = &mut self.replicas[member].tapes[input.from].errors;
                let mut events = Events {
                    sources: &plan.lanes[..lanes],
                    sent: &mut errors[message.slot * lanes..][..lanes],
                    ..Events::in_bin(0)
                };
                message.routine.run_all(&mut events, &mut frame);
            }
        }
    }

    /// Takes neurons back through window `k`.
    pub(crate) fn window_back(&mut self, k: u32) {
        if k + 1 == self.site.windows.count {
            for member in 0..self.replicas.len() {
                self.turn(member);
            }
        }
        let k_th = k as usize;
        self.go_back(|course| {
            let ends = &course.ends;
            let start = k_th
                .checked_sub(1)
                .map_or(End::default(), |before| ends[before]);
            (start, ends[k_th])
        });
        if let Some(window) = &self.site.exact.adjoint_window {
            for member in 0..self.replicas.len() {
                let mut frame = self.frame(member);
                frame.set_tick(k);
                window.run(Event::at(0, k), &mut frame);
            }
        }
    }

    /// Begins the way back of neurons: their turn, and the errors of what they emitted.
    fn turn(&mut self, member: usize) {
        let Site { process, index, .. } = self.site;
        let memory = &mut self.memory[self.site.of(member)];
        let mut frame = self.site.frame(memory, self.scratch);
        if let Some(turn) = process.turn.first() {
            turn.run(Event::default(), &mut frame);
        }
        let Some((sums, value)) = &process.value else {
            return;
        };
        let lanes = process.shape.lanes;
        let tape = &self.replicas[member].tapes[index];
        let mut errors = tape.errors.chunks_exact(lanes);
        let sums = &mut frame.mem[*sums..][..lanes];
        let Some(first) = errors.next() else { return };
        sums.copy_from_slice(first);
        for errors in errors {
            let sums = sums.iter_mut().zip(errors);
            sums.for_each(|(sum, error)| *sum += error);
        }
        value.run(Event::default(), &mut frame);
    }

    /// Takes each replica back through a part of its course.
    fn go_back(&mut self, part: impl Fn(&Course) -> (End, End)) {
        let index = self.site.index;
        let replicas = self.replicas.iter().enumerate();
        let cursors = replicas.map(|(member, replica)| {
            let (start, next) = part(&replica.courses[index]);
            Cursor {
                member,
                start,
                next,
            }
        });
        let back = &mut self.lists.back;
        back.cursors.clear();
        back.cursors.extend(cursors);
        let inputs = self.site.process.inputs.len();
        let batches = inputs.max(back.batches.len());
        back.batches.resize_with(batches, Batch::default);
        loop {
            let back = &mut self.lists.back;
            back.cursors.retain(|cursor| cursor.next != cursor.start);
            if back.cursors.is_empty() {
                return;
            }
            back.new_round();
            self.own_spikes_back();
            for c in 0..self.lists.back.cursors.len() {
                self.arrivals_back(c);
            }
            for number in 0..inputs {
                self.run_batch(number);
            }
        }
    }

    /// Takes each replica back through its next own spikes, each on a lane of its own.
    fn own_spikes_back(&mut self) {
        let Site {
            process,
            exact,
            index,
            ..
        } = self.site;
        let list = &mut self.lists.list;
        let Back {
            cursors,
            own,
            round,
            stride,
            ..
        } = &mut self.lists.back;
        list.clear();
        for cursor in cursors {
            let member = cursor.member;
            let Replica { tapes, courses, .. } = &self.replicas[member];
            let course = &courses[index];
            let tape = &tapes[index];
            let Cursor { start, next, .. } = cursor;
            let last = match next.arrivals > start.arrivals {
                true => course.before[next.arrivals - 1],
                false => start.spikes,
            };
            let end = next.spikes;
            if exact.spike.is_none() {
                next.spikes = last;
                continue;
            }
            let seen = &mut own[member * *stride..][..*stride];
            let mut new = |entry: usize| {
                let lane = tape.spikes.lanes[entry];
                is_new(&mut seen[lane as usize], *round)
            };
            while next.spikes > last && new(next.spikes - 1) {
                next.spikes -= 1;
            }
            let range = next.spikes..end;
            let base = self.site.of(member).start;
            list.add(
                member,
                base,
                tape.spikes.lanes[range.clone()].iter().copied(),
            );
            let times = course.times[range.clone()].iter();
            list.times.extend(times.map(|(_, time)| *time));
            let channels = process.errors.len();
            list.payloads.extend(range.clone().map(|entry| {
                let errors = tape.errors[entry * channels..][..channels].iter();
                match course.answered[entry] {
                    true => errors.copied().reduce(|sum, e| sum + e).unwrap_or(0.0),
                    false => 0.0,
                }
            }));
            let fields = process.fields;
            let range = range.start * fields..range.end * fields;
            list.fields.extend_from_slice(&tape.spikes.fields[range]);
        }
        if let Some(code) = &exact.spike {
            let mut frame = self.site.frame(self.common, self.scratch);
            for part in list.parts() {
                code.run(list, part, self.memory, self.site.block, &mut frame);
            }
        }
    }

    /// Takes a replica back through the arrivals since the own spike before. Those over channels that allow it are
    /// collected, each of another source of one channel.
    fn arrivals_back(&mut self, c: usize) {
        let Site { exact, index, .. } = self.site;
        let Cursor {
            member,
            start,
            mut next,
        } = self.lists.back.cursors[c];
        while next.arrivals > start.arrivals {
            let course = &self.replicas[member].courses[index];
            let at = next.arrivals - 1;
            let arrival = course.arrivals[at];
            if course.before[at] != next.spikes {
                break;
            }
            if exact.back[arrival.input as usize].is_some() {
                next.arrivals -= self.collect(member, start.arrivals..next.arrivals, next.spikes);
                break;
            }
            self.arrival_back(member, arrival);
            next.arrivals = at;
        }
        self.lists.back.cursors[c].next = next;
    }

    /// Collects the last of these arrivals of a replica, with so many own spikes before them; how many.
    fn collect(&mut self, member: usize, arrivals: Range<usize>, spikes: usize) -> usize {
        let Site { process, index, .. } = self.site;
        let course = &self.replicas[member].courses[index];
        let (arrivals, before) = (&course.arrivals[arrivals.clone()], &course.before[arrivals]);
        let Back {
            batches,
            sources,
            round,
            stride,
            ..
        } = &mut self.lists.back;
        let seen = &mut sources[member * *stride..][..*stride];
        let Some(number) = arrivals.last().map(|arrival| arrival.input) else {
            return 0;
        };
        let batch = &mut batches[number as usize];
        let base = narrow(self.site.of(member).start);
        let row = narrow(process.shape.stride);
        let room = ARRIVALS - batch.len();
        let first = batch.len();
        for (arrival, before) in arrivals.iter().zip(before).rev().take(room) {
            let other = *before != spikes || arrival.input != number;
            if other || !is_new(&mut seen[arrival.source as usize], *round) {
                break;
            }
            batch.push(base, arrival.source * row, arrival);
        }
        let count = batch.len() - first;
        batch.end_run(member, base, count);
        if batch.len() == ARRIVALS {
            self.run_batch(number as usize);
        }
        count
    }

    /// Goes back through what was collected of a channel.
    fn run_batch(&mut self, number: usize) {
        let batch = &mut self.lists.back.batches[number];
        let input = &self.site.process.inputs[number];
        let Some(code) = &self.site.exact.back[number] else {
            return;
        };
        if batch.len() == 0 {
            return;
        }
        let mut frame = self.site.frame(self.common, self.scratch);
        code.run(batch, self.memory, &mut frame);
        if let Some(message) = &input.message {
            let channels = self.site.plan.processes[input.from].errors.len();
            let mut sent = code.sent(batch.len(), frame.mem).zip(batch.spikes());
            for (member, count) in batch.runs() {
                let memory = &mut self.memory[self.site.of(member)];
                let answers = Answers::new(input, channels, message.slot);
                for (error, of) in sent.by_ref().take(count) {
                    answers.answer(error, of, &mut self.replicas[member], memory);
                }
            }
        }
        batch.clear();
    }

    fn arrival_back(&mut self, member: usize, arrival: Arrival) {
        let input = &self.site.process.inputs[arrival.input as usize];
        let memory = &mut self.memory[self.site.of(member)];
        let mut frame = self.site.frame(memory, self.scratch);
        frame.mem[TIME as usize] = arrival.time;
        if let Some(message) = &input.message {
            let mut sent = [0.0];
            let mut events = Events {
                sources: &[arrival.source],
                sent: &mut sent,
                ..Events::in_bin(0)
            };
            message.routine.run_all(&mut events, &mut frame);
            let [error] = sent;
            let channels = self.site.plan.processes[input.from].errors.len();
            let of = (arrival.source, arrival.entry);
            let answers = Answers::new(input, channels, message.slot);
            answers.answer(error, of, &mut self.replicas[member], frame.mem);
        }
        if let Some(gradient) = &input.gradient {
            gradient.run(Event::at(arrival.source, 0), &mut frame);
        }
    }
}

/// Where errors go that a channel sends.
struct Answers<'a> {
    input: &'a Input,
    /// Channels that send errors to the producer, and which this is of them.
    channels: usize,
    slot: usize,
}

impl<'a> Answers<'a> {
    fn new(input: &'a Input, channels: usize, slot: usize) -> Self {
        Self {
            input,
            channels,
            slot,
        }
    }

    /// Keeps the error of a spike that the channel brought.
    #[inline(always)]
    fn answer(
        &self,
        error: f32,
        (source, entry): (u32, u32),
        replica: &mut Replica,
        memory: &mut [f32],
    ) {
        let (from, entry) = (self.input.from, entry as usize);
        replica.tapes[from].errors[entry * self.channels + self.slot] = error;
        replica.courses[from].answered[entry] = true;
        if let Some(gradient) = self.input.delays.as_ref().and_then(|d| d.gradient) {
            memory[gradient + source as usize] += error;
        }
    }
}
