//! Times in seconds on the grid of ticks.

use nirc_ir::{Diagnostic, codes};

use super::bins::malformed;

/// How far from a tick a time may lie, in ticks: so far a time stored as `f32` strays within 80 000 ticks.
pub(super) const TOLERANCE: f64 = 0.01;

/// The length of a tick, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    dt: f64,
}

impl Grid {
    /// Ticks of `dt` seconds; `None` if nobody has said how many that is.
    pub(super) fn new(dt: Option<f64>, place: &str) -> Result<Self, Diagnostic> {
        match dt {
            Some(dt) if dt.is_finite() && dt > 0.0 => Ok(Self { dt }),
            Some(dt) => Err(Diagnostic::error(
                codes::TIME_STEP,
                place,
                format!("expected a positive number of seconds a tick, found {dt}"),
            )),
            None => Err(Diagnostic::error(
                codes::TIME_STEP,
                place,
                "times in seconds need the length of a tick, which is not known",
            )),
        }
    }

    /// Seconds a tick.
    pub(super) fn dt(self) -> f64 {
        self.dt
    }

    /// The tick at `time`, in seconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a whole number within 32 bits"
    )]
    pub(super) fn tick(self, time: f64, place: &str) -> Result<u32, Diagnostic> {
        let ticks = time / self.dt;
        let nearest = ticks.round();
        if nearest >= 0.0 && nearest <= f64::from(u32::MAX) && (ticks - nearest).abs() <= TOLERANCE
        {
            return Ok(nearest as u32);
        }
        Err(malformed(
            place,
            &format!(
                "expected a time at a tick, a multiple of {} s within {TOLERANCE} of it, found {time} s, which is {ticks} ticks",
                self.dt
            ),
        )
        .help("round the times to multiples of a tick, from 0 on, or choose a tick (--dt) of which they are"))
    }

    /// A time, given in seconds, in ticks as it is; the rounding to `f32` is the only one.
    pub(super) fn exact(self, time: f64, place: &str) -> Result<f32, Diagnostic> {
        exact(time / self.dt, place)
    }

    /// The time in seconds of an exact time in ticks.
    pub(super) fn seconds(self, time: f32) -> f64 {
        f64::from(time) * self.dt
    }

    /// The time of a tick, in seconds, such that `floor(time / dt)` gives the tick back, which is how
    /// `nir` counts.
    pub(super) fn time(self, tick: u32) -> f64 {
        let tick = f64::from(tick);
        let mut time = tick * self.dt;
        while (time / self.dt).floor() < tick {
            time = time.next_up();
        }
        time
    }
}

/// An exact time in ticks.
pub(super) fn exact(ticks: f64, place: &str) -> Result<f32, Diagnostic> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the one rounding of a spike's time"
    )]
    let time = ticks as f32;
    // What rounds to 2^32 is no tick any more.
    if time >= 0.0 && f64::from(time) < f64::from(u32::MAX) {
        return Ok(time);
    }
    let message = format!("expected a time from 0 on, found {ticks} ticks");
    Err(malformed(place, &message).help("count times from the beginning of the sample"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_times_and_times_ticks() {
        for dt in [1e-4, 1e-3, 0.1, 0.3, 5e-3, 1.0 / 3.0, 7.0] {
            let grid = Grid::new(Some(dt), "").expect("positive");
            for tick in (0..5000).chain([1 << 20, u32::MAX]) {
                let time = grid.time(tick);
                assert_eq!(grid.tick(time, ""), Ok(tick), "{dt}");
                assert_eq!((time / dt).floor(), f64::from(tick), "{dt}");
            }
            #[expect(clippy::cast_possible_truncation, reason = "a stored f32")]
            let stored = f64::from((50_000.0 * dt) as f32);
            assert_eq!(grid.tick(stored, ""), Ok(50_000));
        }
    }

    #[test]
    fn other_times_are_refused_with_their_number() {
        let grid = Grid::new(Some(1e-3), "").expect("positive");
        for time in [0.0105, -1e-3, f64::NAN, f64::INFINITY, 1e10] {
            let error = grid.tick(time, "a.csv").expect_err("off the grid");
            assert!(
                error.message.contains(&format!("found {time} s")),
                "{error}"
            );
        }
        for dt in [None, Some(0.0), Some(-1.0), Some(f64::NAN)] {
            assert_eq!(Grid::new(dt, "").expect_err("no dt").code, codes::TIME_STEP);
        }
    }
}
