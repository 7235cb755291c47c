//! Programs of exact event times: the order in which their handlers run.

use super::{
    Event, Fired, Interpreter, Machine, Payload, SampleRun, in_f32, index_u32, sum_of_errors,
    whole, zero,
};
use crate::diagnostic::Diagnostic;
use crate::entity::PrimaryMap;
use crate::event::{ArrayKind, Chan, HandlerKind, Output, Proc, Program, Role};
use crate::executor::{LaneSpike, Outcome, Pass, Sample};
use crate::math::real::Real;

/// What is kept of a sample beside the tapes.
#[derive(Clone)]
pub(super) struct Exact<R> {
    /// Window and time of each entry of a process' tape of own spikes.
    times: PrimaryMap<Proc, Vec<(u32, R)>>,
    /// What each process went through, in order.
    passed: PrimaryMap<Proc, Vec<Passed<R>>>,
    /// Errors sent over each channel, by the producer's entry.
    sent: PrimaryMap<Chan, Vec<(usize, R)>>,
}

/// Something that a process went through.
#[derive(Clone, Copy)]
enum Passed<R> {
    /// A window ended.
    End(u32),
    /// An own spike, by its entry.
    Own(usize),
    /// An arrival.
    Arrival(Arrival<R>),
}

/// A spike that arrives.
#[derive(Clone, Copy)]
struct Arrival<R> {
    time: R,
    chan: Chan,
    source: u32,
    /// Its entry on the producer's tape.
    entry: usize,
}

impl<R: Real> Exact<R> {
    pub(super) fn new(program: &Program) -> Self {
        Self {
            times: program.processes.values().map(|_| Vec::new()).collect(),
            passed: program.processes.values().map(|_| Vec::new()).collect(),
            sent: program.channels.values().map(|_| Vec::new()).collect(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.times.values_mut().for_each(Vec::clear);
        self.passed.values_mut().for_each(Vec::clear);
        self.sent.values_mut().for_each(Vec::clear);
    }
}

impl<R: Real> Interpreter<R> {
    /// Runs one sample on replica 0 with these exact times of its input spikes, which ascend by (time, channel):
    /// numbers that need be no `f32`, and that no check of samples has seen.
    ///
    /// # Errors
    /// A tape that overflows.
    pub fn run_at(
        &mut self,
        pass: Pass,
        sample: &Sample<'_>,
        times: &[R],
    ) -> Result<Outcome, Diagnostic> {
        self.clear_gradients();
        self.sample(0, pass, sample, times)?;
        Ok(self.outcome(0))
    }

    /// Lane and exact time in bins of each spike of a process, in the order of its tape.
    pub fn exact_spikes(&self, replica: usize, proc: Proc) -> Vec<(u32, R)> {
        let window = self.program.window.unwrap_or_default();
        let replica = &self.replicas[replica];
        let times = replica.exact.times[proc].iter();
        let spikes = times.zip(&replica.own[proc].spikes);
        spikes
            .map(|((k, time), spike)| (spike.lane, since_start(window, *k, *time)))
            .collect()
    }

    /// The errors that went back over a channel: for each the producer's entry and the error. Their sum is the
    /// derivative of the loss by the channel's delay in bins.
    pub fn errors_sent(&self, replica: usize, chan: Chan) -> &[(usize, R)] {
        &self.replicas[replica].exact.sent[chan]
    }

    pub(super) fn times(&self, replica: usize, proc: Proc) -> Vec<f32> {
        let spikes = self.exact_spikes(replica, proc).into_iter();
        spikes.map(|(_, time)| in_f32(time)).collect()
    }
}

/// A time of window `k`, from the sample's beginning.
fn since_start<R: Real>(window: u32, k: u32, time: R) -> R {
    whole::<R>(k * window) + time
}

impl<R: Real> SampleRun<'_, R> {
    pub(super) fn forward_exact(&mut self) -> Result<(), Diagnostic> {
        let program = self.program;
        let (windows, rest) = program.windows().unwrap_or((0, 0));
        let window = program.window.unwrap_or_default();
        for k in 0..windows {
            let end = whole(if k + 1 < windows { window } else { rest });
            for (id, process) in program.processes.iter() {
                match process.role {
                    Role::Source => self.exact_source(id, k),
                    Role::Neurons => self.window(id, k, end)?,
                    Role::Loss | Role::Optimiser(_) => {}
                }
            }
        }
        for (id, process) in program.processes.iter() {
            if let Output::State(state) = process.output {
                let values = &self.replica.arrays[id][state];
                self.replica.emitted[id].extend(values);
            }
        }
        match program.loss() {
            Some(loss) => self.exact_loss(loss, windows, whole(rest)),
            None => Ok(()),
        }
    }

    /// Emits what the sample has for this source in a window.
    fn exact_source(&mut self, proc: Proc, k: u32) {
        let program = self.program;
        let window = program.window.unwrap_or(1);
        let mut sources = program.sources(Output::Spikes);
        let first = sources.find(|(id, _)| *id == proc).map_or(0, |(_, f)| f);
        let first = index_u32(first);
        let lanes = first..first + index_u32(program.processes[proc].lanes);
        for (spike, time) in self.sample.spikes.iter().zip(self.times) {
            if spike.tick / window == k && lanes.contains(&spike.channel) {
                let own = &mut self.replica.own[proc];
                own.spikes.push(LaneSpike {
                    tick: spike.tick,
                    lane: spike.channel - first,
                });
                own.errors.push(Vec::new());
                let time = *time - whole(k * window);
                self.replica.exact.times[proc].push((k, time));
            }
        }
    }

    /// What arrives at `proc` in window `k` before `end`, in order.
    fn arrivals(&self, proc: Proc, k: u32, end: R) -> Vec<Arrival<R>> {
        let program = self.program;
        let window = program.window.unwrap_or(1);
        let mut arrivals = Vec::new();
        for (chan, channel) in program.incoming(proc) {
            let own = &self.replica.own[channel.from];
            let emitted = &self.replica.exact.times[channel.from];
            for (entry, (of, time)) in emitted.iter().enumerate() {
                let late = self.late(chan, own.spikes[entry].lane);
                let (mut of, mut time) = (*of, *time + whole(channel.delay));
                if let Some(late) = late {
                    time = time + late;
                }
                while time >= whole(window) && of < k {
                    time = time - whole(window);
                    of += 1;
                }
                if of == k && time < end {
                    arrivals.push(Arrival {
                        time,
                        chan,
                        source: own.spikes[entry].lane,
                        entry,
                    });
                }
            }
        }
        sort(&mut arrivals);
        arrivals
    }

    /// What the spikes of a source are late beside the channel's delay.
    fn late(&self, chan: Chan, source: u32) -> Option<R> {
        let channel = &self.program.channels[chan];
        let array = channel.delays?.values;
        let ArrayKind::Param(tensor) = self.program.processes[channel.to].arrays[array].kind else {
            return None;
        };
        let delay = self.tensors[tensor][source as usize];
        Some(if delay > zero() { delay } else { zero() })
    }

    /// Takes a process through a window.
    fn window(&mut self, proc: Proc, k: u32, end: R) -> Result<(), Diagnostic> {
        self.run(proc, HandlerKind::Window, Event::at(0, k));
        let mut now = zero();
        for arrival in self.arrivals(proc, k, end) {
            self.cross(proc, k, now, arrival.time)?;
            now = arrival.time;
            self.take(proc, arrival)?;
        }
        self.cross(proc, k, now, end)?;
        self.replica.exact.passed[proc].push(Passed::End(k));
        Ok(())
    }

    fn take(&mut self, proc: Proc, arrival: Arrival<R>) -> Result<(), Diagnostic> {
        self.arrived(arrival.chan, 1)?;
        let event = Event::timed(arrival.source, arrival.time);
        self.run(proc, HandlerKind::Event(arrival.chan), event);
        self.replica.exact.passed[proc].push(Passed::Arrival(arrival));
        Ok(())
    }

    /// Finds the spikes of an interval.
    fn cross(&mut self, proc: Proc, k: u32, since: R, until: R) -> Result<(), Diagnostic> {
        let process = &self.program.processes[proc];
        // Simultaneous arrivals have nothing between them.
        if until <= since {
            return Ok(());
        }
        let mut spikes: Vec<(R, Fired<R>)> = Vec::new();
        for lane in 0..process.lanes {
            self.cross_lane(proc, lane, (since, until), &mut spikes);
        }
        let by_time = |a: &(R, Fired<R>), b: &(R, Fired<R>)| {
            let times = a.0.partial_cmp(&b.0);
            times.map(|order| order.then(a.1.lane.cmp(&b.1.lane)))
        };
        spikes.sort_by(|a, b| by_time(a, b).unwrap_or(std::cmp::Ordering::Equal));
        let window = self.program.window.unwrap_or_default();
        for (time, fired) in spikes {
            let bin = since_start(window, k, time).to_f64().floor();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "times are within the sample"
            )]
            let tick = (bin as u32).min(self.program.ticks - 1);
            let entry = self.replica.own[proc].spikes.len();
            let spike = LaneSpike {
                tick,
                lane: fired.lane,
            };
            self.replica.own[proc].record(process, spike, fired.fields)?;
            self.replica.exact.times[proc].push((k, time));
            self.replica.exact.passed[proc].push(Passed::Own(entry));
        }
        Ok(())
    }

    /// Runs `Cross` on a lane until it spikes no more.
    fn cross_lane(
        &mut self,
        proc: Proc,
        lane: usize,
        (from, until): (R, R),
        spikes: &mut Vec<(R, Fired<R>)>,
    ) {
        let process = &self.program.processes[proc];
        let Some(handler) = process.handler(HandlerKind::Cross) else {
            return;
        };
        let mut values = vec![zero(); handler.body.values];
        let (mut since, mut first) = (from, true);
        loop {
            let mut machine = Machine {
                program: self.program,
                process,
                arrays: &mut self.replica.arrays[proc],
                tensors: self.tensors,
                event: Event {
                    until,
                    ..Event::timed(index_u32(lane), since)
                },
                synapse: 0,
                spikes: Vec::new(),
            };
            machine.lane(handler, lane, &mut values, &mut None);
            let Some(fired) = machine.spikes.pop() else {
                return;
            };
            let time = fired.time.unwrap_or(since);
            let time = if time > since { time } else { since };
            let time = if time < until { time } else { until };
            spikes.push((time, fired));
            if !first && time <= since {
                return;
            }
            (since, first) = (time, false);
        }
    }

    /// The loss takes all arrivals, at their times from the sample's beginning.
    fn exact_loss(&mut self, loss: Proc, windows: u32, rest: R) -> Result<(), Diagnostic> {
        let window = self.program.window.unwrap_or_default();
        let mut all = Vec::new();
        for k in 0..windows {
            let end = if k + 1 < windows { whole(window) } else { rest };
            let of_window = self.arrivals(loss, k, end).into_iter();
            all.extend(of_window.map(|arrival| Arrival {
                time: since_start(window, k, arrival.time),
                ..arrival
            }));
        }
        sort(&mut all);
        all.into_iter()
            .try_for_each(|arrival| self.take(loss, arrival))?;
        let program = self.program;
        for (chan, channel) in program.incoming(loss) {
            if program.carries_values(chan) {
                for (source, value) in self.values_of(channel.from, 0) {
                    let event = Event {
                        payload: Payload::One(value),
                        ..Event::timed(source, whole(program.ticks))
                    };
                    self.run(loss, HandlerKind::Event(chan), event);
                }
            }
        }
        Ok(())
    }

    pub(super) fn adjoint_exact(&mut self) {
        let program = self.program;
        if let Some(loss) = program.loss() {
            self.errors_of_last_values(loss);
            self.back_to(loss, None);
        }
        let (windows, _) = program.windows().unwrap_or((0, 0));
        for k in (0..windows).rev() {
            for (id, process) in program.processes.iter().rev() {
                if process.role != Role::Neurons {
                    continue;
                }
                if k + 1 == windows {
                    self.run(id, HandlerKind::Turn, Event::default());
                    self.own_values(id, 0);
                }
                self.back_to(id, Some(k));
            }
        }
    }

    /// The loss sends an error for each value.
    fn errors_of_last_values(&mut self, loss: Proc) {
        let program = self.program;
        for (chan, channel) in program.incoming(loss) {
            if !program.carries_values(chan) || !program.carries_errors(chan) {
                continue;
            }
            let sources = 0..index_u32(program.processes[channel.from].lanes);
            let errors = sources.map(|source| {
                let event = Event::timed(source, whole(program.ticks));
                let (sent, _) = self.run(loss, HandlerKind::Message(chan), event);
                sent.unwrap_or(zero())
            });
            let errors = errors.collect();
            let of_sample = self.replica.value_errors[channel.from].entry(0);
            of_sample.or_default().push((chan, errors));
        }
    }

    /// Takes a process back through its window `k`, or through everything.
    fn back_to(&mut self, proc: Proc, k: Option<u32>) {
        let passed = &mut self.replica.exact.passed[proc];
        let ends = |of: &Passed<R>| matches!(of, Passed::End(end) if k != Some(*end));
        let from = passed.iter().rposition(ends).map_or(0, |at| at + 1);
        let of_window = passed.split_off(from);
        for passed in of_window.into_iter().rev() {
            match passed {
                Passed::Own(entry) => self.own_exact(proc, entry),
                Passed::Arrival(arrival) => self.arrival_back(proc, arrival),
                Passed::End(_) => {}
            }
        }
        if let Some(k) = k {
            self.run(proc, HandlerKind::AdjointWindow, Event::at(0, k));
        }
    }

    fn own_exact(&mut self, proc: Proc, entry: usize) {
        let own = &self.replica.own[proc];
        let (_, time) = self.replica.exact.times[proc][entry];
        let event = Event {
            fields: own.fields[entry].clone(),
            payload: Payload::One(sum_of_errors(&own.errors[entry])),
            ..Event::timed(own.spikes[entry].lane, time)
        };
        self.run(proc, HandlerKind::Spike, event);
    }

    fn arrival_back(&mut self, proc: Proc, arrival: Arrival<R>) {
        let Arrival {
            time,
            chan,
            source,
            entry,
        } = arrival;
        let producer = self.program.channels[chan].from;
        let event = Event::timed(source, time);
        let (sent, _) = self.run(proc, HandlerKind::Message(chan), event.clone());
        if let Some(error) = sent {
            self.replica.own[producer].errors[entry].push((chan, error));
            self.replica.exact.sent[chan].push((entry, error));
            let delays = self.program.channels[chan].delays;
            if let Some(gradient) = delays.and_then(|delays| delays.gradient) {
                let gradient = &mut self.replica.arrays[proc][gradient][source as usize];
                *gradient = *gradient + error;
            }
        }
        self.run(proc, HandlerKind::Gradient(chan), event);
    }
}

/// By (time, channel, source), and as emitted where all are equal.
fn sort<R: Real>(arrivals: &mut [Arrival<R>]) {
    let key = |a: &Arrival<R>| (a.chan, a.source, a.entry);
    arrivals.sort_by(|a, b| {
        let times = a.time.partial_cmp(&b.time);
        let times = times.unwrap_or(std::cmp::Ordering::Equal);
        times.then(key(a).cmp(&key(b)))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;
    use crate::executor::InputSpike;
    use crate::text::{Externals, parse_program};

    /// A process that integrates, read at the end of three windows of 4, 4 and 2 bins.
    fn gradient<R: Real>() -> (Vec<R>, Vec<R>) {
        let text = include_str!("../verify/tests/readout.nirp");
        let program = parse_program(text, &Externals::new()).expect("it reads");
        let mut machine = Interpreter::<R>::computing(&program);
        let spikes = [(1, 0), (5, 1), (9, 0)].map(|(tick, channel)| InputSpike { tick, channel });
        let sample = Sample {
            spikes: &spikes,
            times: &[],
            values: &[],
            label: 2,
            error: &[],
        };
        let times = [1.5, 5.0, 9.25].map(R::from_f64);
        machine
            .run_at(Pass::Gradient, &sample, &times)
            .expect("it runs");
        let of = |proc: usize, name: &str| {
            let proc = Proc::new(proc);
            let array = machine.program.processes[proc].array(name).expect(name);
            machine.values(0, proc, array)
        };
        (of(2, "score"), of(1, "w.gradient"))
    }

    fn check<R: Real>() {
        let (scores, gradient) = gradient::<R>();
        let number = |v: &R| v.to_f64();
        // From 1.5, 5 and 9.25 to 10, (1 + T) times.
        let weights = [[0.5, 2.0], [1.0, 2.5], [1.5, 3.0]];
        let expected = weights.map(|[a, b]| 11.0 * (a * (8.5 + 0.75) + b * 5.0));
        assert_eq!(scores.iter().map(number).collect::<Vec<_>>(), expected);
        // The turn's 300, doubled by the value's, and its error: the score, and T. A window more is ten times it.
        let lambda = expected.map(|score| 600.0 + score + 10.0);
        let first = lambda.map(|l| l + 100.0 * l);
        let second = lambda.map(|l| 10.0 * l);
        let found: Vec<f64> = gradient.iter().map(number).collect();
        assert_eq!(found, [first, second].concat());
    }

    #[test]
    fn read_outs_are_taken_when_all_windows_have_ended() {
        check::<f32>();
        check::<f64>();
    }
}
