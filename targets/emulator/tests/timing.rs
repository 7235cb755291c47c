//! Cycle counts of the timing model, worked out by hand from its rules.

use nirc_emulator::{Machine, Ran};

/// Runs halfwords and the BX LR after them, which takes three cycles.
fn cycles(halves: &[u16]) -> u64 {
    let bytes: Vec<u8> = halves
        .iter()
        .chain(&[0x4770])
        .flat_map(|h| h.to_le_bytes())
        .collect();
    let mut machine = Machine::new(0x100, &bytes).expect("fits");
    machine.set_r(0, 0x1000);
    machine.set_r(1, 7);
    machine.set_r(2, 1000);
    let Ran {
        instructions,
        cycles,
    } = machine.call(0x100, 10_000).expect("runs");
    assert!(instructions > 0);
    cycles - 3
}

#[test]
fn loads_and_stores() {
    assert_eq!(cycles(&[]), 0);
    assert_eq!(cycles(&[0x6803]), 2, "ldr r3, [r0]");
    assert_eq!(cycles(&[0x6803, 0x6844, 0x6885]), 4, "three loads in a row");
    assert_eq!(
        cycles(&[0x6800, 0x6803]),
        4,
        "ldr r0, [r0]; ldr r3, [r0]: the second waits for its address, and faults nowhere"
    );
    assert_eq!(cycles(&[0x6003]), 1, "str r3, [r0]");
    assert_eq!(cycles(&[0x5043]), 2, "str r3, [r0, r1]");
    assert_eq!(
        cycles(&[0x3004, 0x6803]),
        4,
        "adds r0, #4; ldr r3, [r0]: one more for the address"
    );
    assert_eq!(cycles(&[0xc838]), 4, "ldm r0!, r3 to r5");
    assert_eq!(cycles(&[0xecb0, 0x0a08]), 9, "vldmia r0!, s0 to s7");
    assert_eq!(cycles(&[0xe9d0, 0x3400]), 3, "ldrd r3, r4, [r0]");
}

#[test]
fn floating_point() {
    assert_eq!(cycles(&[0xee30, 0x0a81]), 1, "vadd s0, s1, s2");
    assert_eq!(
        cycles(&[0xee30, 0x0a81, 0xee30, 0x0a20]),
        3,
        "the second vadd needs the first one's result"
    );
    assert_eq!(
        cycles(&[0xeea0, 0x0a81, 0x3101]) + 1,
        3,
        "vfma s0, s1, s2; adds r1, #1 and the BX's one cycle run beside it"
    );
    assert_eq!(
        cycles(&[0xee80, 0x0a81]) + 1,
        14,
        "vdiv, with the BX's one cycle beside it"
    );
    assert_eq!(
        cycles(&[0xee80, 0x0a81, 0x3101, 0x3101, 0x3101]) + 1,
        14,
        "integer instructions beside a division"
    );
    assert_eq!(
        cycles(&[0xeeb4, 0x0a60, 0xeef1, 0xfa10]),
        3,
        "vcmp s0, s1; vmrs: waits one cycle"
    );
}

#[test]
fn control() {
    // 1: subs r1, #1; bne 1b, seven times: six taken branches of 3, one of 1.
    assert_eq!(cycles(&[0x3901, 0xd1fd]), 7 + 6 * 3 + 1);
    // cmp r1, #7; it ne; ldrne r3, [r0]: left out, it takes one cycle.
    assert_eq!(cycles(&[0x2907, 0xbf18, 0x6803]), 3);
    // udiv r3, r2, r1: 1000 / 7 has at most 8 bits of quotient.
    assert_eq!(cycles(&[0xfbb2, 0xf3f1]), 2 + 3);
}
