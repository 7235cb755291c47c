//! Replicas that one thread takes through their samples.
//!
//! Their memories lie one after the other. With ticks a replica goes through its samples alone, and a group is one
//! replica. Of exact event times the replicas of a group go together, sample by sample (`exact`): what one of them has
//! to do is too little for the vector machine.

use nirc_ir::event::Role;
use nirc_ir::executor::{Outcome, Pass, Sample};

use crate::arena::Arena;
use crate::course::Windows;
use crate::exact::{Lists, Site, Walk};
use crate::frame::Scratch;
use crate::plan::Plan;
use crate::replica::{Failure, Ground, Replica, turn};

/// Most replicas of a group, so that what they share stays in the cache.
const MOST: usize = 32;

/// Some replicas with their memories. Everything they need for their part of a batch is in it, so that any thread can
/// run it.
pub(crate) struct Group {
    replicas: Vec<Replica>,
    /// The memories of the replicas.
    memory: Arena,
    /// Elements of each.
    block: usize,
    /// Of exact event times, the memory that lists run on.
    common: Arena,
    lists: Lists,
    scratch: Scratch,
}

/// Into how many groups replicas are divided for so many threads: replica `k` is in group `k` modulo this.
pub(crate) fn groups(plan: &Plan, threads: usize) -> usize {
    let replicas = plan.program.replicas;
    match plan.windows {
        Some(_) => replicas.div_ceil(MOST).max(threads).min(replicas),
        None => replicas,
    }
}

impl Group {
    /// A group of so many replicas.
    pub(crate) fn new(plan: &Plan, replicas: usize) -> Self {
        Self {
            replicas: (0..replicas).map(|_| Replica::new(plan)).collect(),
            memory: Arena::repeated(&plan.image, replicas),
            block: plan.image.len(),
            common: Arena::new(&plan.common),
            lists: Lists::new(plan.most_lanes(), replicas),
            scratch: Scratch::default(),
        }
    }

    /// One of its replicas.
    pub(crate) fn replica(&self, member: usize) -> &Replica {
        &self.replicas[member]
    }

    /// The memory of one of its replicas.
    pub(crate) fn memory(&self, member: usize) -> &[f32] {
        &self.memory[member * self.block..][..self.block]
    }

    /// How the last batch of a replica failed.
    pub(crate) fn failure(&self, member: usize) -> Option<Failure> {
        self.replicas[member].failure()
    }

    /// The outcome of the sample of this round.
    pub(crate) fn outcome(&self, plan: &Plan, member: usize, round: usize) -> Outcome {
        self.replicas[member].outcome(plan, round)
    }

    /// Takes a replica's part of a batch, for [`Self::run`]; gradients are zero then.
    pub(crate) fn load<'a>(
        &mut self,
        plan: &Plan,
        member: usize,
        pass: Pass,
        samples: impl Iterator<Item = &'a Sample<'a>>,
    ) {
        let memory = &mut self.memory[member * self.block..][..self.block];
        self.replicas[member].load(plan, pass, samples, memory);
    }

    /// Runs the samples that its replicas were given, up to the first failure.
    pub(crate) fn run(&mut self, plan: &Plan, weights: &[f32]) {
        if let Some(windows) = plan.windows {
            return self.run_exact(plan, weights, windows);
        }
        for member in 0..self.replicas.len() {
            let (replica, mut ground) = self.ground(member, weights);
            replica.run(plan, &mut ground);
        }
    }

    fn ground<'a>(
        &'a mut self,
        member: usize,
        weights: &'a [f32],
    ) -> (&'a mut Replica, Ground<'a>) {
        let ground = Ground {
            mem: &mut self.memory[member * self.block..][..self.block],
            weights,
            scratch: &mut self.scratch,
        };
        (&mut self.replicas[member], ground)
    }

    fn run_exact(&mut self, plan: &Plan, weights: &[f32], windows: Windows) {
        self.scratch.spikes.lanes.clear();
        let rounds = self.replicas.first().map_or(0, Replica::rounds);
        for round in 0..rounds {
            // Later replicas may have a sample less.
            let busy = self.replicas.iter().take_while(|r| r.rounds() > round);
            let busy = busy.count();
            for member in 0..busy {
                let (replica, ground) = self.ground(member, weights);
                replica.start(plan, round, ground.mem);
            }
            if !self.sample(plan, weights, windows, busy) {
                for replica in &mut self.replicas {
                    if let Some(failure) = replica.failure() {
                        replica.fail(round, failure);
                    }
                }
                return;
            }
            for member in 0..busy {
                let (replica, ground) = self.ground(member, weights);
                replica.finish(plan, ground.mem);
            }
        }
    }

    /// Takes the first replicas through a sample each; whether none failed.
    fn sample(&mut self, plan: &Plan, weights: &[f32], windows: Windows, busy: usize) -> bool {
        let of = |role| {
            let processes = plan.processes.iter().enumerate();
            processes.filter_map(move |(index, p)| (p.role == role).then_some(index))
        };
        let mut walk = |index, f: &mut dyn FnMut(&mut Walk<'_>)| {
            self.walk(plan, weights, windows, busy, index, f);
        };
        for index in of(Role::Source) {
            walk(index, &mut |walk| walk.emit_sample());
        }
        for k in 0..windows.count {
            for index in of(Role::Neurons) {
                walk(index, &mut |walk| walk.window(k));
            }
        }
        for index in of(Role::Neurons) {
            walk(index, &mut |walk| walk.emit());
        }
        for index in of(Role::Loss) {
            walk(index, &mut |walk| walk.loss());
        }
        if self.replicas.iter().any(|r| r.failure.is_some()) {
            return false;
        }
        for member in 0..busy {
            turn(plan, &mut self.ground(member, weights).1);
        }
        if !self.replicas[0].goes_back() {
            return true;
        }
        let mut walk = |index, f: &mut dyn FnMut(&mut Walk<'_>)| {
            self.walk(plan, weights, windows, busy, index, f);
        };
        for index in 0..plan.processes.len() {
            walk(index, &mut |walk| walk.expect_errors());
        }
        for index in of(Role::Loss) {
            walk(index, &mut |walk| walk.loss_back());
        }
        for k in (0..windows.count).rev() {
            for index in of(Role::Neurons).rev() {
                walk(index, &mut |walk| walk.window_back(k));
            }
        }
        true
    }

    fn walk(
        &mut self,
        plan: &Plan,
        weights: &[f32],
        windows: Windows,
        busy: usize,
        index: usize,
        f: &mut dyn FnMut(&mut Walk<'_>),
    ) {
        let process = &plan.processes[index];
        if let Some(exact) = &process.exact {
            f(&mut Walk {
                site: Site {
                    plan,
                    process,
                    exact,
                    index,
                    windows,
                    weights,
                    block: self.block,
                },
                replicas: &mut self.replicas[..busy],
                memory: &mut self.memory,
                common: &mut self.common,
                lists: &mut self.lists,
                scratch: &mut self.scratch,
            });
        }
    }
}
