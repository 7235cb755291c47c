//! A few threads that wait for small jobs.
//!
//! A batch may take as little as a hundred microseconds, less than a sleeping thread needs to wake up.
//! So a worker that has run out of work looks out for more for a while, at first without giving up
//! its core, then yielding it, before it sleeps. The caller takes part in the work, and nobody waits
//! for a worker that has not started: whatever it did not take, others take. So a pool on fewer cores
//! than it has threads is slower, but not by more than its threads disturb one another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a worker looks out for work before it sleeps.
const PATIENCE: Duration = Duration::from_micros(300);
/// How many times it does so before it lets others have the core in between.
const SPINS: u32 = 2_000;

/// What the threads have in common: a list of jobs known by number.
pub(crate) trait Jobs: Send + Sync + 'static {
    /// Does one job. Jobs of a round run at the same time, each once.
    fn run(&self, job: usize);
}

/// Threads that do jobs together with whoever calls.
pub(crate) struct Pool<J> {
    shared: Arc<Shared<J>>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared<J> {
    jobs: J,
    /// Counts rounds; odd or even, it only has to change.
    round: AtomicU64,
    stop: AtomicBool,
    /// Whether a job has panicked.
    broken: AtomicBool,
    /// Jobs of the round that are not done.
    open: AtomicUsize,
    /// Jobs that are reserved for each thread until others have run out of their own.
    shares: Box<[Share]>,
    sleeping: Box<[AtomicBool]>,
}

/// The next job in the low and the end in the high half; on a cache line of its own.
#[repr(align(64))]
#[derive(Default)]
struct Share(AtomicU64);

impl Share {
    fn set(&self, jobs: std::ops::Range<usize>) {
        let packed = (jobs.end as u64) << 32 | jobs.start as u64;
        self.0.store(packed, Ordering::SeqCst);
    }

    fn take(&self) -> Option<usize> {
        let mut seen = self.0.load(Ordering::SeqCst);
        loop {
            let (next, end) = (seen & u64::from(u32::MAX), seen >> 32);
            if next >= end {
                return None;
            }
            let taken =
                self.0
                    .compare_exchange_weak(seen, seen + 1, Ordering::SeqCst, Ordering::SeqCst);
            match taken {
                Ok(_) => return usize::try_from(next).ok(),
                Err(now) => seen = now,
            }
        }
    }
}

/// Counts a job as done however it ends, so that nobody waits for ever.
struct Done<'a, J>(&'a Shared<J>);

impl<J> Drop for Done<'_, J> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.broken.store(true, Ordering::SeqCst);
        }
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<J: Jobs> Pool<J> {
    /// A pool of this many threads, the caller's among them.
    pub(crate) fn new(jobs: J, threads: usize) -> Self {
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            jobs,
            round: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            shares: (0..threads).map(|_| Share::default()).collect(),
            sleeping: (1..threads).map(|_| AtomicBool::new(false)).collect(),
        });
        let workers = (1..threads).filter_map(|index| {
            let shared = Arc::clone(&shared);
            // A thread that cannot be had is not needed: the others take its share.
            thread::Builder::new()
                .name(format!("nirc-host-{index}"))
                .spawn(move || shared.work(index))
                .ok()
        });
        Self {
            workers: workers.collect(),
            shared,
        }
    }

    /// The number of threads, the caller's among them.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// The jobs.
    pub(crate) fn jobs(&self) -> &J {
        &self.shared.jobs
    }

    /// Does jobs 0 to `count` and returns when all are done.
    ///
    /// # Panics
    /// If a job does, on whichever thread.
    pub(crate) fn run(&self, count: usize) {
        let shared = &*self.shared;
        let threads = shared.shares.len();
        if count <= 1 || self.workers.is_empty() {
            for job in 0..count {
                shared.jobs.run(job);
            }
            return;
        }
        shared.open.store(count, Ordering::SeqCst);
        for (index, share) in shared.shares.iter().enumerate() {
            share.set(index * count / threads..(index + 1) * count / threads);
        }
        shared.round.fetch_add(1, Ordering::SeqCst);
        for (worker, sleeping) in self.workers.iter().zip(&shared.sleeping) {
            wake(worker.thread(), sleeping);
        }
        shared.take_part(0);
        let mut spins = 0;
        while shared.open.load(Ordering::SeqCst) > 0 {
            pause(&mut spins);
        }
        assert!(!shared.broken.load(Ordering::SeqCst), "a job panicked");
    }
}

fn wake(thread: &Thread, sleeping: &AtomicBool) {
    if sleeping.swap(false, Ordering::SeqCst) {
        thread.unpark();
    }
}

fn pause(spins: &mut u32) {
    if *spins < SPINS {
        *spins += 1;
        std::hint::spin_loop();
    } else {
        thread::yield_now();
    }
}

impl<J: Jobs> Shared<J> {
    fn work(&self, index: usize) {
        let mut seen = 0;
        while let Some(round) = self.next_round(seen, index) {
            seen = round;
            self.take_part(index);
        }
    }

    /// The own share first, then what the others have left.
    fn take_part(&self, index: usize) {
        let threads = self.shares.len();
        for share in (0..threads).map(|k| &self.shares[(index + k) % threads]) {
            while let Some(job) = share.take() {
                let _done = Done(self);
                self.jobs.run(job);
            }
        }
    }

    /// Waits for a round other than `seen`; `None` when the pool ends.
    fn next_round(&self, seen: u64, index: usize) -> Option<u64> {
        let mut patience: Option<Instant> = None;
        let mut spins = 0;
        loop {
            let round = self.round.load(Ordering::SeqCst);
            if self.stop.load(Ordering::SeqCst) {
                return None;
            }
            if round != seen {
                return Some(round);
            }
            pause(&mut spins);
            if spins == SPINS && patience.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                self.sleep(seen, &self.sleeping[index - 1]);
                patience = None;
                spins = 0;
            }
        }
    }

    fn sleep(&self, seen: u64, sleeping: &AtomicBool) {
        sleeping.store(true, Ordering::SeqCst);
        while sleeping.load(Ordering::SeqCst)
            && self.round.load(Ordering::SeqCst) == seen
            && !self.stop.load(Ordering::SeqCst)
        {
            thread::park();
        }
        sleeping.store(false, Ordering::SeqCst);
    }
}

impl<J> Drop for Pool<J> {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for (worker, sleeping) in self.workers.drain(..).zip(&self.shared.sleeping) {
            sleeping.store(false, Ordering::SeqCst);
            worker.thread().unpark();
            // If it panicked, its caller has been told.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count(Vec<AtomicUsize>);

    impl Jobs for Count {
        fn run(&self, job: usize) {
            self.0[job].fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn every_job_runs_once_in_every_round() {
        for threads in [1, 2, 3, 8] {
            let jobs = Count((0..23).map(|_| AtomicUsize::new(0)).collect());
            let pool = Pool::new(jobs, threads);
            for round in 1..=500 {
                pool.run(23);
                let counts = pool.jobs().0.iter().map(|c| c.load(Ordering::SeqCst));
                assert!(
                    counts.eq(std::iter::repeat_n(round, 23)),
                    "{threads} threads"
                );
            }
        }
    }

    #[test]
    fn sleeping_workers_wake() {
        let jobs = Count((0..5).map(|_| AtomicUsize::new(0)).collect());
        let pool = Pool::new(jobs, 3);
        for round in 1..=5 {
            thread::sleep(PATIENCE * 3);
            pool.run(5);
            assert_eq!(pool.jobs().0[4].load(Ordering::SeqCst), round);
        }
    }
}
