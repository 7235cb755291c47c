//! The timers of a PE: down counters like the Arm SP804's, on their own clock.

use crate::fault::FaultKind;

const ENABLE: u32 = 1 << 7;
const PERIODIC: u32 = 1 << 6;
const INTERRUPT: u32 = 1 << 5;
const WIDE: u32 = 1 << 1;
const ONE_SHOT: u32 = 1;

/// One counter. It is not stepped: everything is computed from the clock when it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Timer {
    pe_hz: u64,
    hz: u64,
    load: u32,
    control: u32,
    /// Counter value at tick `since` (of the timer's clock), while it counts.
    value: u32,
    since: u64,
    /// Set by a pass through zero, cleared by software.
    raw: bool,
}

impl Timer {
    pub(crate) fn new(pe_hz: u32, hz: u32) -> Self {
        Self {
            pe_hz: pe_hz.into(),
            hz: hz.into(),
            load: 0,
            control: 0x20,
            value: u32::MAX,
            since: 0,
            raw: false,
        }
    }

    /// Ticks of the timer (after the prescaler) until a PE clock.
    fn tick(&self, at: u64) -> u64 {
        let ticks = (u128::from(at) * u128::from(self.hz) / u128::from(self.pe_hz)) as u64;
        ticks >> (4 * u64::from(self.control >> 2 & 3).min(2))
    }

    /// First PE clock of a tick.
    fn clock(&self, tick: u64) -> u64 {
        let ticks = u128::from(tick) << (4 * (self.control >> 2 & 3).min(2));
        (ticks * u128::from(self.pe_hz)).div_ceil(u128::from(self.hz)) as u64
    }

    fn limit(&self) -> u32 {
        if self.control & WIDE != 0 {
            u32::MAX
        } else {
            0xffff
        }
    }

    /// Ticks from one zero to the next.
    fn period(&self) -> u64 {
        match self.control & PERIODIC != 0 {
            true => u64::from(self.load & self.limit()).max(1),
            false => u64::from(self.limit()) + 1,
        }
    }

    /// Brings the counter up to a clock.
    pub(crate) fn advance(&mut self, at: u64) {
        if self.control & ENABLE == 0 {
            return;
        }
        let tick = self.tick(at);
        let passed = tick.saturating_sub(self.since);
        if passed == 0 {
            return;
        }
        let value = u64::from(self.value);
        if passed < value {
            self.value -= passed as u32;
        } else {
            self.raw |= value > 0 || self.control & ONE_SHOT == 0;
            self.value = if self.control & ONE_SHOT != 0 {
                0
            } else {
                let period = self.period();
                let left = period - (passed - value) % period;
                left.min(u64::from(u32::MAX)) as u32
            };
        }
        self.since = tick;
    }

    /// Whether its interrupt line is high.
    pub(crate) fn line(&self) -> bool {
        self.raw && self.control & INTERRUPT != 0
    }

    /// The clock at which the line goes high if nobody touches the timer, when it is low.
    pub(crate) fn next_edge(&self) -> Option<u64> {
        let counts = self.control & ENABLE != 0 && self.control & INTERRUPT != 0 && !self.raw;
        let stopped = self.control & ONE_SHOT != 0 && self.value == 0;
        (counts && !stopped).then(|| self.clock(self.since + u64::from(self.value.max(1))))
    }

    pub(crate) fn load(&mut self, at: u64, offset: u32) -> Result<u32, FaultKind> {
        self.advance(at);
        Ok(match offset {
            0x00 | 0x18 => self.load,
            0x04 => self.value & self.limit(),
            0x08 => self.control,
            0x10 => self.raw.into(),
            0x14 => self.line().into(),
            _ => return Err(FaultKind::Unsupported("this timer register")),
        })
    }

    pub(crate) fn store(&mut self, at: u64, offset: u32, value: u32) -> Result<(), FaultKind> {
        self.advance(at);
        match offset {
            0x00 => {
                self.load = value;
                self.value = value & self.limit();
            }
            0x08 if value & !0xef != 0 || value & 0xc == 0xc => {
                return Err(FaultKind::RegisterValue { value });
            }
            0x08 => {
                self.control = value;
                self.since = self.tick(at);
            }
            0x0c => self.raw = false,
            0x18 => self.load = value,
            _ => return Err(FaultKind::Unsupported("this timer register")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periodic() {
        let mut timer = Timer::new(300_000_000, 1_000_000);
        timer.store(150, 0x00, 1000).unwrap();
        timer.store(150, 0x08, 0xe2).unwrap();
        assert_eq!(
            timer.next_edge(),
            Some(300_000),
            "the clock is aligned to its own ticks"
        );
        assert_eq!(timer.load(300 * 400, 0x04), Ok(600));
        timer.advance(299_999);
        assert!(!timer.line());
        timer.advance(300_000);
        assert!(timer.line());
        timer.store(300_001, 0x0c, u32::MAX).unwrap();
        assert!(!timer.line());
        assert_eq!(timer.next_edge(), Some(600_000));
        timer.advance(300 * 5500);
        assert!(timer.line());
        assert_eq!(timer.load(300 * 5500, 0x04), Ok(500));
    }

    #[test]
    fn one_shot_stops() {
        let mut timer = Timer::new(100, 100);
        timer.store(0, 0x00, 10).unwrap();
        timer.store(0, 0x08, 0xa3).unwrap();
        timer.advance(10);
        assert!(timer.line());
        timer.store(11, 0x0c, 0).unwrap();
        timer.advance(100_000);
        assert!(!timer.line());
        assert_eq!(timer.next_edge(), None);
        assert_eq!(timer.load(100_000, 0x04), Ok(0));
    }
}
