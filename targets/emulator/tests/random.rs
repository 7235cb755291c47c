//! Random programs and random operands: nothing panics, and floating point agrees with the host's `f32` but for NaNs.

use nirc_emulator::{Machine, MachineError};

/// A deterministic stream of numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    /// A float's bits: often special, near one another, or denormal.
    fn float(&mut self) -> u32 {
        let special = [
            0,
            0x8000_0000,
            0x3f80_0000,
            0x7f80_0000,
            0xff80_0000,
            0x7fc0_0000,
            0xffc1_2345,
            0x7f80_0001,
            0xffa0_0000,
            0x0000_0001,
            0x807f_ffff,
            0x0080_0000,
            0x7f7f_ffff,
        ];
        match self.next() % 4 {
            0 => special[self.next() as usize % special.len()],
            1 => self.next() & 0x80ff_ffff | 0x3f80_0000 ^ (self.next() % 3) << 23,
            2 => self.next() & 0x81ff_ffff,
            _ => self.next(),
        }
    }
}

fn is_nan(bits: u32) -> bool {
    f32::from_bits(bits).is_nan()
}

/// What ARM makes of the operands of an operation whose host result is a NaN.
fn nan(operands: &[u32]) -> u32 {
    let quiet = 0x0040_0000;
    let signalling = operands
        .iter()
        .find(|&&x| is_nan(x) && x & quiet == 0)
        .map(|x| x | quiet);
    let first = operands.iter().copied().find(|&x| is_nan(x));
    signalling.or(first).unwrap_or(0x7fc0_0000)
}

fn or_nan(result: f32, operands: &[u32]) -> u32 {
    if result.is_nan() {
        nan(operands)
    } else {
        result.to_bits()
    }
}

/// `op s0, s1, s2` and what it should compute from the old s0 and s1, s2.
type Expected = fn(u32, u32, u32) -> u32;

fn f(bits: u32) -> f32 {
    f32::from_bits(bits)
}

fn multiply(a: u32, b: u32) -> u32 {
    or_nan(f(a) * f(b), &[a, b])
}

fn accumulate(d: u32, product: u32) -> u32 {
    or_nan(f(d) + f(product), &[d, product])
}

/// Exact product and sum in `f64`, rounded to odd before the last rounding to `f32`.
fn fused(d: u32, a: u32, b: u32) -> u32 {
    let zero_times_infinity =
        f(a) == 0.0 && f(b).is_infinite() || f(a).is_infinite() && f(b) == 0.0;
    let signalling = is_nan(d) && d & 0x0040_0000 == 0;
    if zero_times_infinity && !signalling {
        return 0x7fc0_0000;
    }
    if is_nan(a) || is_nan(b) || is_nan(d) {
        return nan(&[d, a, b]);
    }
    let product = f64::from(f(a)) * f64::from(f(b));
    let addend = f64::from(f(d));
    let sum = product + addend;
    if sum.is_nan() {
        return 0x7fc0_0000;
    }
    // The error of the sum, exact (two-sum); a sum that is not exact and even moves one step toward the true value.
    let other = sum - product;
    let error = (product - (sum - other)) + (addend - other);
    let odd = if error != 0.0 && error.is_finite() && sum.to_bits() & 1 == 0 {
        let up = (error > 0.0) == (sum > 0.0);
        f64::from_bits(if up {
            sum.to_bits() + 1
        } else {
            sum.to_bits() - 1
        })
    } else {
        sum
    };
    (odd as f32).to_bits()
}

const SIGN: u32 = 0x8000_0000;

/// First and second halfword of each with s0, s1, s2.
const OPERATIONS: [(&str, [u16; 2], Expected); 13] = [
    ("vadd", [0xee30, 0x0a81], |_, n, m| {
        or_nan(f(n) + f(m), &[n, m])
    }),
    ("vsub", [0xee30, 0x0ac1], |_, n, m| {
        or_nan(f(n) - f(m), &[n, m])
    }),
    ("vmul", [0xee20, 0x0a81], |_, n, m| multiply(n, m)),
    ("vnmul", [0xee20, 0x0ac1], |_, n, m| multiply(n, m) ^ SIGN),
    ("vdiv", [0xee80, 0x0a81], |_, n, m| {
        or_nan(f(n) / f(m), &[n, m])
    }),
    ("vmla", [0xee00, 0x0a81], |d, n, m| {
        accumulate(d, multiply(n, m))
    }),
    ("vmls", [0xee00, 0x0ac1], |d, n, m| {
        accumulate(d, multiply(n, m) ^ SIGN)
    }),
    ("vnmla", [0xee10, 0x0ac1], |d, n, m| {
        accumulate(d ^ SIGN, multiply(n, m) ^ SIGN)
    }),
    ("vnmls", [0xee10, 0x0a81], |d, n, m| {
        accumulate(d ^ SIGN, multiply(n, m))
    }),
    ("vfma", [0xeea0, 0x0a81], fused),
    ("vfms", [0xeea0, 0x0ac1], |d, n, m| fused(d, n ^ SIGN, m)),
    ("vfnma", [0xee90, 0x0ac1], |d, n, m| {
        fused(d ^ SIGN, n ^ SIGN, m)
    }),
    ("vfnms", [0xee90, 0x0a81], |d, n, m| fused(d ^ SIGN, n, m)),
];

fn machine(halves: &[u16]) -> Machine {
    let bytes: Vec<u8> = halves
        .iter()
        .chain(&[0x4770])
        .flat_map(|h| h.to_le_bytes())
        .collect();
    Machine::new(0x100, &bytes).expect("fits")
}

#[test]
fn arithmetic_agrees_with_the_host() {
    let mut random = Random(1);
    for (name, halves, expected) in OPERATIONS {
        let mut machine = machine(&halves);
        for _ in 0..20_000 {
            let [d, n, m] = [random.float(), random.float(), random.float()];
            for (i, bits) in [d, n, m].into_iter().enumerate() {
                machine.set_s(i, bits);
            }
            machine.call(0x100, 100).expect("runs");
            let (found, expected) = (machine.s(0), expected(d, n, m));
            assert_eq!(
                found, expected,
                "{name} of {d:#010x} {n:#010x} {m:#010x}: {found:#010x}, not {expected:#010x}"
            );
        }
    }
}

/// Instructions fused into runs do what they do one at a time.
#[test]
fn runs_agree_with_single_steps() {
    let mut random = Random(2);
    for round in 0..3000 {
        let (_, [first, second], _) = OPERATIONS[random.next() as usize % OPERATIONS.len()];
        let (d, n, m) = (random.next() % 24, random.next() % 24, random.next() % 24);
        let (n_step, m_step, count) = (random.next() % 2, random.next() % 2, 2 + random.next() % 7);
        let mut halves = Vec::new();
        for i in 0..count {
            let (d, n, m) = (d + i, n + i * n_step, m + i * m_step);
            let first = first & !0x4f | ((d & 1) << 6) as u16 | (n >> 1) as u16;
            let second =
                second & !0xf0af | ((d >> 1) << 12 | (n & 1) << 7 | (m & 1) << 5 | m >> 1) as u16;
            halves.extend([first, second]);
        }
        let (mut run, mut step) = (machine(&halves), machine(&halves));
        for s in 0..32 {
            let bits = if round % 2 == 0 {
                random.float()
            } else {
                (random.next() as f32).to_bits()
            };
            run.set_s(s, bits);
            step.set_s(s, bits);
        }
        run.call(0x100, 1000).expect("runs");
        step.start_at(0x100);
        for _ in 0..count {
            step.step().expect("runs");
        }
        for s in 0..32 {
            assert_eq!(run.s(s), step.s(s), "round {round}, s{s}, {halves:04x?}");
        }
    }
}

/// Random halfwords end in a fault, a return, sleep or the limit, never in a panic; stepping makes no difference.
#[test]
fn random_code_does_not_panic() {
    let mut random = Random(3);
    for round in 0..60_000 {
        let mut code = Vec::new();
        for _ in 0..8 {
            // Half of them the start of a 32-bit instruction, so that these get their share.
            let half = random.next() as u16
                | if random.next().is_multiple_of(2) {
                    0xe800
                } else {
                    0
                };
            code.push(half);
        }
        let mut whole = machine(&code);
        let mut stepped = whole.clone();
        for r in 0..13 {
            let value = if random.next().is_multiple_of(2) {
                random.next()
            } else {
                random.next() & 0x1_ffff
            };
            whole.set_r(r, value);
            stepped.set_r(r, value);
        }
        let result = whole.call(0x100, 500);
        let Err(MachineError::Fault(fault)) = result else {
            continue;
        };
        stepped.set_r(14, 0xdfff_ffff);
        stepped.start_at(0x100);
        let other = (0..600).find_map(|_| stepped.step().err());
        let Some(MachineError::Fault(other)) = other else {
            panic!("round {round}: {fault}, but stepping {other:?}")
        };
        assert_eq!(
            (fault.pc, fault.kind, fault.address),
            (other.pc, other.kind, other.address),
            "{code:04x?}"
        );
        for r in 0..15 {
            assert_eq!(whole.r(r), stepped.r(r), "round {round}, r{r}, {code:04x?}");
        }
    }
}
