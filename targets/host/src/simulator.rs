//! The executor: batches over replicas over threads.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use nirc_ir::entity::Entity;
use nirc_ir::event::{Array, ArrayKind, Proc, Program};
use nirc_ir::executor::{Executor, LaneSpike, Outcome, Pass, Sample, check_batch, keeps_spikes};
use nirc_ir::{Diagnostic, codes};

use crate::compile::Home;
use crate::course::since_start;
use crate::group::{Group, groups};
use crate::isa::Isa;
use crate::optimiser::Optimiser;
use crate::plan::Plan;
use crate::pool::{Jobs, Pool};
use crate::replica::{Failure, Replica};
use crate::space::Shape;

/// Runs event programs natively on all cores.
pub struct HostSimulator {
    pool: Pool<Replicas>,
    optimisers: Vec<Optimiser>,
}

/// What the threads work on. A job is a group of replicas with their parts of the batch.
struct Replicas {
    plan: Plan,
    weights: RwLock<Vec<f32>>,
    groups: Vec<Mutex<Group>>,
}

impl Jobs for Replicas {
    fn run(&self, job: usize) {
        let weights = self.weights.read().unwrap_or_else(PoisonError::into_inner);
        self.group(job).run(&self.plan, &weights);
    }
}

impl Replicas {
    /// A group; one whose thread panicked is as good as any other once it is loaded again.
    fn group(&self, index: usize) -> MutexGuard<'_, Group> {
        self.groups[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The group of a replica, and its number there.
    fn replica(&self, index: usize) -> (MutexGuard<'_, Group>, usize) {
        let groups = self.groups.len();
        (self.group(index % groups), index / groups)
    }

    /// The exact times of the own spikes of a process, if it has such.
    fn exact_times(&self, replica: &Replica, proc: Proc) -> Option<impl Iterator<Item = f32>> {
        let bins = self.plan.program.window?;
        let times = replica.times(proc.index()).iter();
        Some(times.map(move |(k, time)| since_start(bins, *k, *time)))
    }
}

/// The bin that a time lies in.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times are within the sample"
)]
fn bin(time: f32) -> u32 {
    time.floor() as u32
}

impl HostSimulator {
    /// Compiles `program` for this machine, to run on `threads` threads (0: one for each core).
    ///
    /// # Errors
    /// What is wrong with the program.
    pub fn new(program: &Program, threads: usize) -> Result<Self, Diagnostic> {
        Self::with_isa(program, threads, Isa::detect())
    }

    pub(crate) fn with_isa(
        program: &Program,
        threads: usize,
        isa: Isa,
    ) -> Result<Self, Diagnostic> {
        let plan = Plan::new(program, isa)?;
        let optimisers = plan
            .optimisers
            .iter()
            .map(|(_, o)| Optimiser::new(o))
            .collect();
        let threads = if threads == 0 {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        } else {
            threads
        };
        let groups = groups(&plan, threads);
        let members = |group| (group..program.replicas).step_by(groups).count();
        let jobs = Replicas {
            groups: (0..groups)
                .map(|group| Mutex::new(Group::new(&plan, members(group))))
                .collect(),
            weights: RwLock::new(plan.weights.image().to_vec()),
            plan,
        };
        Ok(Self {
            pool: Pool::new(jobs, threads.min(groups)),
            optimisers,
        })
    }

    /// The instructions in use: `portable`, `avx2` or `avx512`. They change no bit.
    pub fn instructions(&self) -> &'static str {
        self.plan().isa.name()
    }

    /// The threads in use, the caller's among them.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    fn plan(&self) -> &Plan {
        &self.pool.jobs().plan
    }

    /// The failure of the earliest sample.
    fn failure(&self, samples: usize) -> Option<Diagnostic> {
        let jobs = self.pool.jobs();
        let count = jobs.plan.program.replicas;
        let failed = |replica: usize| {
            let (group, member) = jobs.replica(replica);
            let failure = group.failure(member)?;
            Some((failure.round * count + replica, failure))
        };
        let first = (0..count.min(samples))
            .filter_map(failed)
            .min_by_key(|(k, _)| *k);
        first.map(|(sample, failure)| overflow(&jobs.plan.program, sample, failure))
    }

    fn update(&mut self, active: usize) {
        let Replicas { plan, weights, .. } = self.pool.jobs();
        let mut weights = weights.write().unwrap_or_else(PoisonError::into_inner);
        for (optimiser, (_, plan)) in self.optimisers.iter_mut().zip(&plan.optimisers) {
            optimiser.clear(plan);
        }
        for replica in 0..active {
            let (group, member) = self.pool.jobs().replica(replica);
            for (optimiser, (_, o)) in self.optimisers.iter_mut().zip(&plan.optimisers) {
                optimiser.gather(o, plan.isa, group.memory(member));
            }
        }
        let mut all = self.optimisers.iter_mut().zip(&plan.optimisers);
        let measures = all
            .by_ref()
            .filter_map(|(optimiser, (_, o))| optimiser.measure(o, plan.isa));
        let measured = measures.reduce(|sum, measure| sum + measure).unwrap_or(0.0);
        for (optimiser, (_, o)) in self.optimisers.iter_mut().zip(&plan.optimisers) {
            optimiser.update(o, plan.isa, measured, &mut weights);
        }
    }

    fn optimiser(&self, proc: Proc) -> Option<usize> {
        self.plan()
            .optimisers
            .iter()
            .position(|(id, _)| *id == proc)
    }

    fn array_kind(&self, proc: Proc, array: Array) -> Result<ArrayKind, Diagnostic> {
        let process = self.plan().program.processes.get(proc);
        let decl = process.and_then(|p| p.arrays.get(array));
        decl.map(|d| d.kind).ok_or_else(|| {
            let message = format!("there is no {array} of {proc}");
            Diagnostic::error(codes::RECORD_NAME, &self.plan().program.name, message)
        })
    }

    /// Number of rows of an array and the shape of each.
    fn rows(&self, proc: Proc, kind: ArrayKind) -> Shape {
        let plan = self.plan();
        match kind {
            ArrayKind::Param(t) | ArrayKind::Gradient(t) => plan.weights.place(t).1,
            ArrayKind::Trace | ArrayKind::GivenError => Shape {
                rows: plan.program.ticks as usize,
                ..plan.processes[proc.index()].shape
            },
            _ => plan.processes[proc.index()].shape,
        }
    }

    fn no_replica(&self, replica: usize) -> Diagnostic {
        let program = &self.plan().program;
        let message = format!("replica {replica} of {}", program.replicas);
        Diagnostic::error(codes::RECORD_NAME, &program.name, message)
    }
}

fn overflow(program: &Program, sample: usize, failure: Failure) -> Diagnostic {
    let process = &program.processes[Proc::new(failure.process)];
    Diagnostic::error(
        codes::DEVICE_LOSS,
        &process.name,
        format!(
            "the tape of {} is full: more than {} in sample {sample}",
            failure.what, failure.bound
        ),
    )
    .help("raise `mapping.spike_bound`; left out, there is room for a spike a neuron and bin")
}

fn values(memory: &[f32], home: Home, shape: Shape) -> Vec<f32> {
    match home {
        Home::Scalar(base) => vec![memory[base as usize]],
        Home::Arena(base) | Home::Weights(base) => shape.gather(&memory[base as usize..]),
    }
}

impl Executor for HostSimulator {
    fn program(&self) -> &Program {
        &self.plan().program
    }

    fn name(&self) -> &'static str {
        "host"
    }

    fn run(
        &mut self,
        pass: Pass,
        batch: &[Sample<'_>],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Diagnostic> {
        let jobs = self.pool.jobs();
        check_batch(&jobs.plan.program, batch)?;
        let count = jobs.plan.program.replicas;
        for index in 0..count {
            let samples = batch.iter().skip(index).step_by(count);
            let (mut group, member) = jobs.replica(index);
            group.load(&jobs.plan, member, pass, samples);
        }
        let active = batch.len().min(count);
        self.pool.run(active.min(jobs.groups.len()));
        if let Some(failure) = self.failure(batch.len()) {
            return Err(failure);
        }
        for k in 0..batch.len() {
            let (group, member) = jobs.replica(k % count);
            outcomes.push(group.outcome(&jobs.plan, member, k / count));
        }
        if pass == Pass::Train {
            self.update(active);
        }
        Ok(())
    }

    fn read(&self, replica: usize, proc: Proc, array: Array) -> Result<Vec<f32>, Diagnostic> {
        let kind = self.array_kind(proc, array)?;
        let jobs = self.pool.jobs();
        if let Some(index) = self.optimiser(proc) {
            let (_, plan) = &jobs.plan.optimisers[index];
            let shape = match kind {
                ArrayKind::Trace | ArrayKind::GivenError => Shape {
                    rows: plan.shape.rows * jobs.plan.program.ticks as usize,
                    ..plan.shape
                },
                _ => plan.shape,
            };
            return Ok(values(
                &self.optimisers[index].arena,
                plan.homes[array],
                shape,
            ));
        }
        let shape = self.rows(proc, kind);
        let home = jobs.plan.processes[proc.index()].homes[array];
        if let Home::Weights(_) = home {
            let weights = jobs.weights.read().unwrap_or_else(PoisonError::into_inner);
            return Ok(values(&weights, home, shape));
        }
        if replica >= jobs.plan.program.replicas {
            return Err(self.no_replica(replica));
        }
        let (group, member) = jobs.replica(replica);
        Ok(values(group.memory(member), home, shape))
    }

    fn write(&mut self, proc: Proc, array: Array, values: &[f32]) -> Result<(), Diagnostic> {
        let kind = self.array_kind(proc, array)?;
        let jobs = self.pool.jobs();
        let expected = jobs.plan.program.array_len(proc, array);
        let fail = |message: String| {
            let name = &jobs.plan.program.processes[proc].name;
            Err(Diagnostic::error(codes::DATA_ARRAY, name, message))
        };
        if values.len() != expected {
            return fail(format!(
                "{} values for an array of {expected}",
                values.len()
            ));
        }
        let Some(index) = self.optimiser(proc) else {
            return fail("only the arrays of optimisers can be written".into());
        };
        let (_, plan) = &jobs.plan.optimisers[index];
        let memory = &mut self.optimisers[index].arena;
        match plan.homes[array] {
            Home::Scalar(base) => memory[base as usize] = values[0],
            Home::Arena(base) | Home::Weights(base) => {
                plan.shape.scatter(values, &mut memory[base as usize..]);
            }
        }
        if let ArrayKind::Param(_) = kind {
            let mut weights = jobs.weights.write().unwrap_or_else(PoisonError::into_inner);
            plan.shape
                .scatter(values, &mut weights[plan.weights.clone()]);
        }
        Ok(())
    }

    fn spikes(&self, replica: usize, proc: Proc) -> Result<Vec<LaneSpike>, Diagnostic> {
        let jobs = self.pool.jobs();
        if replica >= jobs.plan.program.replicas || proc.index() >= jobs.plan.processes.len() {
            return Err(self.no_replica(replica));
        }
        keeps_spikes(&jobs.plan.program, proc)?;
        let (group, member) = jobs.replica(replica);
        let replica = group.replica(member);
        let tape = replica.tape(proc.index());
        if let Some(times) = jobs.exact_times(replica, proc) {
            let last = jobs.plan.program.ticks - 1;
            let lanes = tape.spikes.lanes.iter();
            return Ok(times
                .zip(lanes)
                .map(|(time, lane)| LaneSpike {
                    tick: bin(time).min(last),
                    lane: *lane,
                })
                .collect());
        }
        let spikes = tape.iter();
        Ok(spikes
            .map(|(tick, lane)| LaneSpike { tick, lane })
            .collect())
    }

    fn spike_times(&self, replica: usize, proc: Proc) -> Result<Vec<f32>, Diagnostic> {
        let jobs = self.pool.jobs();
        if replica >= jobs.plan.program.replicas || proc.index() >= jobs.plan.processes.len() {
            return Err(self.no_replica(replica));
        }
        keeps_spikes(&jobs.plan.program, proc)?;
        let (group, member) = jobs.replica(replica);
        let times = jobs.exact_times(group.replica(member), proc);
        times.map(Iterator::collect).ok_or_else(|| {
            let program = &jobs.plan.program;
            let message = "its spikes have bins, and no exact times";
            Diagnostic::error(codes::RECORD_NAME, &program.processes[proc].name, message)
        })
    }
}
