//! Several PEs: packets, FIFOs, the router, interrupts, shared memory, timers; and the same results for any number of threads.

use std::sync::Arc;

use nirc_emulator::{
    Chip, ChipConfig, ChipError, FaultKind, PeSet, Route, RouteError, RunSummary, Segment,
    SymbolTable,
};

const FILTER_PLAIN: u32 = 0x0020_0601;
const FILTER_PAYLOAD: u32 = 0x0020_0641;

macro_rules! program {
    ($name:literal) => {
        bytes(include_str!(concat!("programs/", $name, ".hex")))
    };
}

fn bytes(hex: &str) -> Vec<u8> {
    let halves = hex
        .split_whitespace()
        .map(|h| u16::from_str_radix(h, 16).expect("halfword"));
    halves.flat_map(u16::to_le_bytes).collect()
}

fn chip() -> Chip {
    Chip::new(ChipConfig::spinnaker2_prototype()).expect("a valid configuration")
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// Loads a program with its parameters at 0x8000, and starts it.
fn start(chip: &mut Chip, pe: usize, code: &[u8], parameters: &[u32]) {
    let segments = [
        Segment::code(0, code),
        Segment::data(0x8000, words(parameters)),
    ];
    chip.load(pe, &segments, Arc::default()).expect("fits");
    chip.start(pe).expect("starts");
}

fn read(chip: &Chip, pe: usize, addr: u32, count: usize) -> Vec<u32> {
    let mut buf = vec![0; count * 4];
    chip.host_read(pe, addr, &mut buf).expect("inside");
    buf.chunks(4)
        .map(|w| u32::from_le_bytes(w.try_into().expect("4")))
        .collect()
}

/// TCR of a spike to (x, y), PE mask in the register's order, with or without payload.
fn tcr(x: u32, y: u32, pes: &[u32], payload: bool) -> u32 {
    let mask: u32 = pes.iter().map(|pe| 8 >> pe).sum();
    3 << 29 | x << 26 | y << 23 | mask << 18 | 7 << 14 | u32::from(payload) << 11 | 7 << 8
}

fn run(chip: &mut Chip) -> RunSummary {
    let summary = chip.run(1_000_000, 1).expect("no fault");
    assert!(summary.quiescent);
    summary
}

#[test]
fn direct_packets_arrive_in_order() {
    let mut chip = chip();
    // PE 0 is in quad (7, 6), PE 7 is PE 3 of quad (7, 5).
    start(
        &mut chip,
        7,
        &program!("receive"),
        &[FILTER_PAYLOAD, 0xa000, 0xa060],
    );
    start(
        &mut chip,
        6,
        &program!("receive"),
        &[FILTER_PLAIN, 0xa000, 0xa020],
    );
    start(
        &mut chip,
        0,
        &program!("send"),
        &[10, tcr(7, 5, &[3], true), 0x100, 0x500],
    );
    run(&mut chip);
    assert_eq!(read(&chip, 7, 0x8010, 1), [20]);
    let expected: Vec<u32> = (0..10).flat_map(|i| [0x100 + i, 0x500 + i]).collect();
    assert_eq!(read(&chip, 7, 0x9000, 20), expected);
    assert_eq!(chip.counters(0).unwrap().packets_sent, 10);
    let received = chip.counters(7).unwrap();
    assert_eq!(
        (
            received.packets_received,
            received.fifo_drops,
            received.unclaimed
        ),
        (10, [0, 0], 0)
    );
    assert!(received.fifo_high_water[0] >= 2 && received.sleep_cycles > 0);
    assert_eq!(chip.counters(6).unwrap().packets_received, 0);
}

#[test]
fn a_mask_reaches_several_pes_of_a_quad() {
    let mut chip = chip();
    for pe in 0..4 {
        start(
            &mut chip,
            pe,
            &program!("receive"),
            &[FILTER_PLAIN, 0xa000, 0xa040],
        );
    }
    start(
        &mut chip,
        4,
        &program!("send"),
        &[3, tcr(7, 6, &[0, 2], false), 7, 0],
    );
    run(&mut chip);
    for (pe, count) in [(0, 3), (1, 0), (2, 3), (3, 0)] {
        assert_eq!(read(&chip, pe, 0x8010, 1), [count], "PE {pe}");
        assert_eq!(chip.counters(pe).unwrap().packets_received, count.into());
    }
    assert_eq!(read(&chip, 2, 0x9000, 3), [7, 8, 9]);
}

#[test]
fn a_full_ring_drops_and_counts() {
    let mut chip = chip();
    // The receiver enables its FIFO but never takes anything, as it faults in no way: a ring of 4 words, nobody reads.
    let mut program = program!("receive");
    // Endless loop instead of the first WFI.
    let wfi = program
        .chunks(2)
        .position(|h| h == [0x30, 0xbf])
        .expect("WFI")
        * 2;
    program[wfi..wfi + 2].copy_from_slice(&[0xfe, 0xe7]);
    start(&mut chip, 0, &program, &[FILTER_PAYLOAD, 0xa000, 0xa010]);
    start(
        &mut chip,
        1,
        &program!("send"),
        &[5, tcr(7, 6, &[0], true), 7, 0],
    );
    let summary = chip.run(10_000, 1).unwrap();
    assert!(!summary.quiescent, "the receiver spins");
    assert_eq!(summary.cycles, chip.now());
    let counters = chip.counters(0).unwrap();
    assert_eq!(
        (counters.fifo_drops, counters.fifo_high_water),
        ([3, 0], [4, 0])
    );
    assert_eq!(read(&chip, 0, 0xa000, 4), [7, 0, 8, 1]);
}

#[test]
fn unmatched_packets_are_counted() {
    let mut chip = chip();
    start(
        &mut chip,
        0,
        &program!("receive"),
        &[FILTER_PLAIN, 0xa000, 0xa010],
    );
    start(
        &mut chip,
        1,
        &program!("send"),
        &[5, tcr(7, 6, &[0], true), 7, 0],
    );
    run(&mut chip);
    assert_eq!(chip.counters(0).unwrap().unclaimed, 5);
}

#[test]
fn the_router_multicasts() {
    let mut chip = chip();
    let to = [0, 5, 77, 151];
    for pe in to {
        start(
            &mut chip,
            pe,
            &program!("receive"),
            &[FILTER_PLAIN, 0xa000, 0xa040],
        );
    }
    let route = Route {
        key: 0x40,
        mask: 0xfffe,
        route: PeSet::from_iter(to),
    };
    let one = Route {
        key: 0x40,
        mask: 0xfff0,
        route: PeSet::from_iter([5]),
    };
    chip.set_routes(vec![route, one]).unwrap();
    start(
        &mut chip,
        20,
        &program!("send"),
        &[20, tcr(4, 3, &[], false), 0x3f, 0],
    );
    run(&mut chip);
    // 0x3f misses; 0x40 and 0x41 go to all; 0x42 to 0x4f to one; 0x50 to 0x52 miss.
    assert_eq!(chip.router_counters().missed, 4);
    assert_eq!(chip.router_counters().routed, 16);
    assert_eq!(read(&chip, 5, 0x8010, 1), [16]);
    for pe in [0, 77, 151] {
        assert_eq!(read(&chip, pe, 0x9000, 3), [0x40, 0x41, 0], "PE {pe}");
    }
    assert!(chip.inject(0x41, None));
    assert!(!chip.inject(0x99, None));
    let before = chip.now();
    run(&mut chip);
    assert!(chip.now() > before);
    assert_eq!(read(&chip, 151, 0x9000, 3), [0x40, 0x41, 0x41]);
    let full = vec![route; 16_385];
    assert!(matches!(
        chip.set_routes(full),
        Err(ChipError::Route(RouteError::Full { found: 16_385, .. }))
    ));
}

#[test]
fn interrupts_preempt_and_restore() {
    let mut chip = chip();
    start(
        &mut chip,
        0,
        &program!("interrupt"),
        &[0, 0, 0, 1 + 2 + 3 + 4 + 5],
    );
    start(
        &mut chip,
        1,
        &program!("send"),
        &[5, tcr(7, 6, &[0], false), 1, 0],
    );
    run(&mut chip);
    let result = read(&chip, 0, 0x8000, 5);
    assert!(result[0] > 0, "the main program counted");
    assert_eq!((result[1], f32::from_bits(result[4])), (15, 1.0));
    assert_eq!(u64::from(result[2]), chip.counters(0).unwrap().interrupts);
    assert_eq!(result[2], 5);
}

#[test]
fn memory_of_other_pes() {
    let mut chip = chip();
    // PE 9 is PE 1 of quad (6, 6), PE 10 its neighbour; PE 148 is PE 0 of quad (5, 3).
    let remote = |id: u32, addr: u32| 0xf000_0000 + (id << 17) + addr;
    let (far, near) = (5 << 5 | 3 << 2, 6 << 5 | 6 << 2 | 2);
    let window = |pe: u32, addr: u32| 0x0008_0000 + pe * 0x20000 + addr;
    let list = [
        remote(far, 0x9000),
        0xa000, // load from far
        remote(near, 0x9000),
        0xa010, // load from near, over the network
        window(2, 0x9000),
        0xa020, // and through the window
        0x9100,
        remote(far, 0xb000), // store far
        0x9100,
        window(3, 0xb000), // store near
        0x9100,
        remote(near, 0xb000),
        window(1, 0x9100),
        window(1, 0xb000), // its own, from outside
        0,
        0,
    ];
    start(&mut chip, 9, &program!("shared"), &list);
    let (a, b, c) = (
        words(&[1, 2, 3, 4]),
        words(&[5, 6, 7, 8]),
        words(&[9, 10, 11, 12]),
    );
    chip.host_write(148, 0x9000, &a).unwrap();
    chip.host_write(10, 0x9000, &b).unwrap();
    chip.host_write(9, 0x9100, &c).unwrap();
    run(&mut chip);
    assert_eq!(
        read(&chip, 9, 0xa000, 12),
        [1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7, 8]
    );
    for pe in [148, 11, 10, 9] {
        assert_eq!(read(&chip, pe, 0xb000, 4), [9, 10, 11, 12], "PE {pe}");
    }
    let counters = chip.counters(9).unwrap();
    assert_eq!((counters.remote_loads, counters.remote_stores), (4, 4));
    // Loads from (5, 3), four hops away, stall for both ways.
    assert!(counters.cycles > 2 * (4 + 4 * 5));
}

#[test]
fn timers_wake() {
    let mut chip = chip();
    start(&mut chip, 3, &program!("timer"), &[10]);
    let summary = run(&mut chip);
    // 10 us at 300 MHz; 18 instructions or so before the first.
    let times = read(&chip, 3, 0x9000, 4);
    for (i, pair) in times.windows(2).enumerate() {
        assert_eq!(pair[1] - pair[0], 3000, "period {i}");
    }
    assert!((2900..3050).contains(&times[0]), "{}", times[0]);
    assert!(summary.instructions < 100, "sleeping costs nothing");
    let counters = chip.counters(3).unwrap();
    assert!(counters.sleep_cycles > counters.cycles * 9 / 10);
}

#[test]
fn faults_name_pe_place_and_symbol() {
    let mut chip = chip();
    // Vector table; movs r0, #0; udf #0.
    let code = [0, 0, 1, 0, 9, 0, 0, 0, 0, 0x20, 0, 0xde];
    let symbols = Arc::new(SymbolTable::new([(8, 4, "reset")]));
    chip.load(42, &[Segment::code(0, code)], symbols).unwrap();
    chip.start(42).unwrap();
    let Err(ChipError::Fault(fault)) = chip.run(1000, 2) else {
        panic!("expected a fault")
    };
    assert_eq!(
        (fault.pe, fault.pc, fault.symbol.as_deref()),
        (42, 10, Some("reset+0x2"))
    );
    assert!(matches!(
        fault.kind,
        FaultKind::Undefined { first: 0xde00, .. }
    ));
    assert!(
        fault
            .to_string()
            .contains("PE 42 at pc 0x0000000a (reset+0x2)")
    );
    // It can be loaded and run again.
    start(&mut chip, 42, &program!("send"), &[0, 0, 0, 0]);
    run(&mut chip);
}

#[test]
fn packets_must_have_a_destination() {
    let mut chip = chip();
    start(
        &mut chip,
        1,
        &program!("send"),
        &[1, tcr(0, 0, &[0], false), 7, 0],
    );
    let Err(ChipError::Fault(fault)) = chip.run(1000, 1) else {
        panic!("expected a fault")
    };
    assert_eq!(fault.kind, FaultKind::NoDestination { x: 0, y: 0 });
}

#[test]
fn packets_do_not_overwrite_code() {
    let mut chip = chip();
    start(
        &mut chip,
        0,
        &program!("receive"),
        &[FILTER_PLAIN, 0x10, 0x20],
    );
    start(
        &mut chip,
        1,
        &program!("send"),
        &[1, tcr(7, 6, &[0], false), 7, 0],
    );
    let Err(ChipError::Fault(fault)) = chip.run(1000, 1) else {
        panic!("expected a fault")
    };
    assert_eq!(
        (fault.pe, fault.kind, fault.address),
        (0, FaultKind::BadArrival, Some(0x10))
    );
}

#[test]
fn the_host_can_patch_code() {
    let mut chip = chip();
    let program = program!("send");
    start(&mut chip, 0, &program, &[0, 0, 0, 0]);
    run(&mut chip);
    // udf #0 over the first instruction, of PE 0 only.
    chip.load(1, &[Segment::code(0, program)], Arc::default())
        .unwrap();
    chip.host_write(0, 8, &[0, 0xde]).unwrap();
    for pe in [0, 1] {
        chip.start(pe).unwrap();
    }
    let Err(ChipError::Fault(fault)) = chip.run(1000, 1) else {
        panic!("expected a fault")
    };
    assert_eq!((fault.pe, fault.pc), (0, 8));
}

#[test]
fn bad_configurations_are_refused() {
    let config = ChipConfig::spinnaker2_prototype;
    let twice = ChipConfig {
        quads: vec![(1, 1), (1, 1)],
        ..config()
    };
    let no_quantum = ChipConfig {
        quantum: 0,
        ..config()
    };
    let mut overlapping = config();
    overlapping.comms.base = overlapping.timers.bases[0];
    for bad in [twice, no_quantum, overlapping] {
        assert!(matches!(Chip::new(bad), Err(ChipError::Config(_))));
    }
    assert!(matches!(
        chip().start(152),
        Err(ChipError::NoSuchPe { pe: 152, pes: 152 })
    ));
    assert!(matches!(
        chip().host_write(0, 0x1ffff, &[0, 0]),
        Err(ChipError::OutsideSram { .. })
    ));
}

/// A deterministic stream of numbers.
fn random(seed: &mut u64) -> u32 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as u32
}

/// All PEs relay packets to random others, store into each other's memories and read from them; the state of everything afterwards.
fn storm(threads: usize) -> (Vec<u8>, Vec<nirc_emulator::Counters>, RunSummary) {
    let mut chip = chip();
    let mut seed = 1;
    let ids: Vec<u32> = (0..152)
        .map(|pe| chip.config().pe_id(pe).unwrap().into())
        .collect();
    let mut any = || random(&mut seed) as usize % 152;
    let mut routes = Vec::new();
    for pe in 0..152 {
        let to = [any(), (pe & !3) + any() % 4];
        routes.push(Route {
            key: pe as u32,
            mask: 0xff,
            route: PeSet::from_iter(to),
        });
    }
    chip.set_routes(routes).unwrap();
    for pe in 0..152 {
        let remote = |to: usize| 0xf000_0000 + (ids[to] << 17);
        let (to, from) = if pe % 3 == 0 {
            (any(), any())
        } else {
            ((pe & !3) + any() % 4, (pe & !3) + any() % 4)
        };
        let parameters = [
            pe as u32,
            remote(to) + 0x9000 + 4 * pe as u32,
            remote(from) + 0x8010,
        ];
        start(&mut chip, pe, &program!("relay"), &parameters);
    }
    for key in 0..20 {
        assert!(chip.inject(key * 7, Some(9)));
    }
    let first = chip.run(3000, threads).unwrap();
    assert!(!first.quiescent);
    let summary = chip.run(10_000_000, threads).unwrap();
    assert!(summary.quiescent);
    let mut memory = vec![0; 152 * 0x20000];
    for (pe, bytes) in memory.chunks_mut(0x20000).enumerate() {
        chip.host_read(pe, 0, bytes).unwrap();
    }
    (
        memory,
        (0..152).map(|pe| chip.counters(pe).unwrap()).collect(),
        summary,
    )
}

#[test]
fn results_do_not_depend_on_threads() {
    let (memory, counters, summary) = storm(1);
    assert!(counters.iter().map(|c| c.packets_received).sum::<u64>() > 10_000);
    assert!(
        counters.iter().any(|c| c.fifo_drops[0] > 0),
        "rings overflow somewhere"
    );
    for threads in [2, 4] {
        let (other_memory, other_counters, other_summary) = storm(threads);
        assert_eq!(counters, other_counters, "{threads} threads");
        assert_eq!(summary, other_summary);
        assert!(memory == other_memory, "{threads} threads: memory differs");
    }
}

/// The programs' bytes are what GNU as makes of their sources, where that is installed.
#[test]
fn programs_are_their_sources() {
    let programs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs");
    let dir = std::env::temp_dir().join(format!("nirc-emulator-programs-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("temporary directory");
    let run = |program: &str, args: &[&str]| {
        let output = std::process::Command::new(program)
            .args(args)
            .current_dir(&dir)
            .output();
        output.is_ok_and(|o| o.status.success())
    };
    if !run("arm-none-eabi-as", &["--version"]) {
        nirc_tests::tools::skip("arm-none-eabi-as is not installed");
        return;
    }
    for name in ["interrupt", "receive", "relay", "send", "shared", "timer"] {
        let source = format!("{programs}/{name}.s");
        assert!(run("arm-none-eabi-as", &[&source, "-o", "out.o"]), "{name}");
        assert!(run(
            "arm-none-eabi-objcopy",
            &["-O", "binary", "-j", ".text", "out.o", "out.bin"]
        ));
        let hex = std::fs::read_to_string(format!("{programs}/{name}.hex")).expect("hex");
        assert_eq!(
            std::fs::read(dir.join("out.bin")).expect("output"),
            bytes(&hex),
            "{name}"
        );
    }
    std::fs::remove_dir_all(&dir).expect("remove");
}
