//! The subroutines that find roots, beside their definition.

use nirc_emulator::Machine;
use nirc_ir::entity::Entity;
use nirc_ir::event::Proc;
use nirc_ir::math::root::{cubic, equal, general, quartic};
use nirc_ir::text::{Externals, parse_program};
use nirc_ir::verify::verify;
use nirc_spinnaker2::codegen::{Firmware, compile};
use nirc_spinnaker2::mapping::Pacing;
use nirc_spinnaker2::target::Target;

use crate::programs::Numbers;

const ODD: [f32; 10] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    1e-38,
    1e38,
    f32::MIN_POSITIVE / 4.0,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];
/// All triples of odd numbers.
const LANES: usize = ODD.len().pow(3);
const OPERANDS: [&str; 5] = ["p", "q", "threshold", "start", "n"];
const RESULTS: [&str; 4] = ["cubic", "quartic", "power", "equal"];

/// A process whose `window` finds all four roots on every lane.
fn text(lanes: usize) -> String {
    let arrays = OPERANDS.iter().chain(&RESULTS);
    let arrays: String = arrays.map(|a| format!("array {a} : state 0.0\n")).collect();
    format!(
        "program roots ticks = 4 dt = 0.001 first_tick = 0 replicas = 1 window = 4 {{
        proc0 cells : neurons lanes {lanes} {{
        {arrays}
        on window lanes {{
        v0 = load p
        v1 = load q
        v2 = load threshold
        v3 = load start
        v4 = load n
        v5 = root cubic v0, v1, v2, v3
        v6 = root quartic v0, v1, v2, v3
        v7 = root power v4 v0, v1, v2, v3
        v8 = root equal v4 v0, v1, v2, v3
        store cubic = v5
        store quartic = v6
        store power = v7
        store equal = v8
        }}
        }}
        }}"
    )
}

/// Odd operands, all that there are.
fn odd(numbers: &mut Numbers) -> Vec<[f32; 5]> {
    let all = (0..LANES).map(|number| {
        let digit = |place: usize| ODD[number / ODD.len().pow(place as u32) % ODD.len()];
        let start = ODD[numbers.below(ODD.len())];
        [digit(0), digit(1), digit(2), start, 1.5]
    });
    all.collect()
}

/// What comes up in networks.
fn common(numbers: &mut Numbers) -> Vec<[f32; 5]> {
    let all = (0..LANES).map(|_| {
        let [a, b, c, d, e] = [(); 5].map(|()| numbers.unit());
        let n = [1.25, 20.0 / 7.0, 12.0, 0.125][numbers.below(4)];
        [
            10.0 + 20.0 * a,
            16.0 + 24.0 * b,
            1.75 * c,
            0.55 + 0.45 * d,
            n + 0.1 * e,
        ]
    });
    all.collect()
}

#[test]
fn subroutines_find_the_roots_that_are_defined() {
    let program = parse_program(&text(LANES), &Externals::new()).expect("it reads");
    verify(&program).unwrap_or_else(|e| panic!("{e}"));
    let target = Target::spinnaker2();
    let firmware = compile(&program, &[Proc::new(0)], &target, Pacing::whole(&program));
    let firmware = firmware.expect("it compiles");
    let mut numbers = Numbers::new(5);
    let mut iterated = compare(&firmware, &odd(&mut numbers));
    for _ in 0..4 {
        iterated += compare(&firmware, &common(&mut numbers));
    }
    assert!(
        iterated > 2 * LANES,
        "only {iterated} roots are not where they began"
    );
}

/// Compares all roots; returns how many are not where they began.
fn compare(firmware: &Firmware, operands: &[[f32; 5]]) -> usize {
    let mut machine = Machine::new(0, &firmware.image.text.bytes).expect("it fits");
    let address = |name: &str| {
        let symbol = firmware.symbol(&format!("cells.{name}"));
        symbol.expect("it is there").0
    };
    for (k, name) in OPERANDS.iter().enumerate() {
        let bytes: Vec<u8> = operands.iter().flat_map(|o| o[k].to_le_bytes()).collect();
        let written = machine.write(address(name), &bytes);
        written.expect("inside the memory");
    }
    machine
        .call(address("window"), 100_000_000)
        .expect("it runs");
    let mut iterated = 0;
    for (lane, &[p, q, threshold, start, n]) in operands.iter().enumerate() {
        let expected = [
            cubic(p, q, threshold, start),
            quartic(p, q, threshold, start),
            general(n, p, q, threshold, start),
            equal(n, p, q, threshold, start),
        ];
        for (name, expected) in RESULTS.iter().zip(expected) {
            let at = address(name) + 4 * lane as u32;
            let found = machine.read_u32(at).expect("inside the memory");
            let found = f32::from_bits(found);
            let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
            let operands = [p, q, threshold, start, n];
            assert!(
                same,
                "{name} {operands:?}: {found:e}, expected {expected:e}"
            );
            iterated += usize::from(expected != start && expected.is_finite());
        }
    }
    iterated
}
