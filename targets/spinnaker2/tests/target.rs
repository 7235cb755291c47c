//! The built-in target file, and files with every kind of problem.

use nirc_spinnaker2::target::{Target, TargetProblem, Trust};

const FILE: &str = include_str!("../src/target/spinnaker2.toml");

/// The problems of the built-in file after one replacement.
fn broken(from: &str, to: &str) -> Vec<TargetProblem> {
    assert!(FILE.contains(from), "the file has no `{from}`");
    Target::parse(&FILE.replacen(from, to, 1)).expect_err("the file should be refused")
}

/// The names of the rules the file breaks after one replacement.
fn rules(from: &str, to: &str) -> Vec<&'static str> {
    broken(from, to)
        .into_iter()
        .map(|problem| match problem {
            TargetProblem::Rule { rule, .. } => rule,
            other => panic!("not a rule: {other}"),
        })
        .collect()
}

#[test]
fn the_built_in_file_is_right() {
    assert_eq!(Target::parse(FILE).map(|_| ()), Ok(()));
    let target = Target::spinnaker2();
    assert_eq!(target.validate(), []);
    assert_eq!(target.chip.pes, 152);
    assert_eq!(target.chip.quads.len(), 38);
    assert_eq!(target.chip.quads[0], (7, 6));
    assert_eq!(target.chip.quads[37], (5, 3));
    assert_eq!(target.pes().count(), 152);
    assert_eq!(target.clock.low_hz, 150_000_000);
    assert_eq!(target.power.sleep_low, 235.4);
    assert_eq!(target.fifo.filter_plain, 0x0020_0601);
    assert_eq!(target.fifo.filter_payload, 0x0020_0641);
    assert_eq!(target.irq.fifo0_not_empty, 9);
    assert_eq!(target.irq.fifo1_not_empty, 12);
    assert_eq!(target.eventprop.batch_ms, 61.0);
}

#[test]
fn addresses_and_words_are_those_of_the_documents() {
    let target = Target::spinnaker2();
    // The worked example: quad (1, 1).
    assert_eq!(
        target.tcr_word((1, 1), 0, false),
        0x6481_C700 & !(0x1f << 18)
    );
    assert_eq!(
        target.tcr_word((1, 1), 0b0001, false),
        0x6481_C700 & !(0x1f << 18) | 8 << 18
    );
    assert_eq!(
        target.tcr_word((1, 1), 0b1000, true),
        0x6480_CF00 & !(0x1f << 18) | 1 << 18 | 0x1_0000
    );
    assert_eq!(target.pe_id((7, 6), 3), 7 << 5 | 6 << 2 | 3);
    assert_eq!(target.remote_sram((0, 0), 0), 0xF000_0000);
    assert_eq!(target.remote_sram((7, 7), 3), 0xF1FE_0000);
    assert_eq!(target.fifo_register(0, target.fifo.write), 0xE200_0110);
    assert_eq!(target.fifo_register(1, target.fifo.control), 0xE200_017C);
}

#[test]
fn rows_show_value_source_and_trust() {
    let target = Target::spinnaker2();
    let row = |name: &str| {
        let row = target.row(name).expect(name);
        (row.value.clone(), row.source.clone(), row.trust)
    };
    assert_eq!(
        row("memory.comms.base"),
        ("0xE2000000".into(), "S2T, JIB".into(), Trust::Prototype)
    );
    assert_eq!(row("clock.low_hz").0, "150000000 Hz");
    assert_eq!(row("tcr.payload_bit").2, Trust::Assumed);
    assert_eq!(row("fifo.filter_plain").2, Trust::Assumed);
    assert_eq!(row("power.sleep_low").0, "235.4 mW");
    assert_eq!(row("router.position").0, "(4 3)");
    assert_eq!(target.rows()[0].name, "chip.name");
    assert!(target.rows().iter().all(|row| !row.source.is_empty()));
    assert_eq!(format!("[{:>10}]", Trust::Assumed), "[   assumed]");
}

#[test]
fn conflicts_name_what_decides_them() {
    let target = Target::spinnaker2();
    assert_eq!(target.conflicts.len(), 9);
    let order = target
        .conflicts
        .iter()
        .find(|conflict| conflict.used.as_deref() == Some("chip.pe_order"))
        .expect("the order of PEs is disputed");
    let answers: Vec<&str> = order.answers.iter().map(|row| row.value.as_str()).collect();
    assert_eq!(answers, ["(0 1 2 3)", "(3 2 1 0)"]);
}

#[test]
fn a_value_must_have_source_and_trust() {
    let entry = "pes = { value = 152, source = \"DS; CP: 38 quads of 4\", trust = \"production\" }";
    let messages = |to: &str| {
        broken(entry, to)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        messages("pes = { value = 152, trust = \"production\" }"),
        ["`chip.pes` must have a source that begins with a key of [sources], but has none"]
    );
    assert_eq!(
        messages("pes = { value = 152, source = \"hearsay\", trust = \"production\" }"),
        ["`chip.pes` must have a source that begins with a key of [sources], but has \"hearsay\""]
    );
    assert_eq!(
        messages("pes = { value = 152, source = \"DS\" }"),
        ["`chip.pes` must have trust \"production\", \"prototype\" or \"assumed\", but has none"]
    );
    assert_eq!(
        messages("pes = { value = 152, source = \"DS\", trust = \"certain\" }"),
        [
            "`chip.pes` must have trust \"production\", \"prototype\" or \"assumed\", but has \"certain\""
        ]
    );
    assert_eq!(
        messages("pes = 152"),
        [
            "`chip.pes` must be { value, source, trust }, but is a bare value",
            "`chip.pes` is missing",
        ]
    );
    assert_eq!(
        messages("pes = { value = -1, source = \"DS\", trust = \"production\", why = 3 }"),
        [
            "`chip.pes` has a key `why` that entries do not have",
            "`chip.pes` must be an integer from 0 to 4294967295, but is -1",
        ]
    );
}

#[test]
fn all_problems_are_reported_at_once() {
    let text = FILE
        .replace("pes_per_quad", "pes_per_qad")
        .replace("trust = \"assumed\"", "trust = \"guess\"");
    let guesses = text.matches("trust = \"guess\"").count();
    let problems = Target::parse(&text).expect_err("the file should be refused");
    assert!(problems.contains(&TargetProblem::Missing("chip.pes_per_quad".into())));
    assert!(problems.contains(&TargetProblem::Unknown("chip.pes_per_qad".into())));
    let trust = problems
        .iter()
        .filter(|problem| matches!(problem, TargetProblem::Trust { .. }))
        .count();
    assert!(guesses > 0 && trust == guesses, "{trust} of {guesses}");
    assert!(matches!(
        Target::parse("= nothing").as_ref().map_err(Vec::as_slice),
        Err([TargetProblem::Toml(_)])
    ));
    assert!(Target::parse("").is_err());
    assert!(Target::parse("sources = 3\nconflict = 4\nchip = 5").is_err());
}

#[test]
fn each_rule_can_be_broken() {
    let quads = ["a quad for every four PEs"];
    assert_eq!(rules("value = 152, source", "value = 148, source"), quads);
    assert_eq!(
        rules("[7, 6], [7, 5]", "[7, 6], [7, 6]"),
        ["quads stand apart and inside the mesh"]
    );
    assert_eq!(
        rules("[7, 6], [7, 5]", "[7, 6], [4, 4]"),
        ["the router stands in the mesh, beside the quads"]
    );
    assert_eq!(
        rules("value = [0, 1, 2, 3]", "value = [0, 1, 2, 2]"),
        ["the order of a quad's PEs names each once"]
    );
    assert_eq!(
        rules("value = 0xE1000020", "value = 0xE1000010"),
        ["address ranges are not empty and do not overlap"]
    );
    assert_eq!(
        rules(
            "value = 0x8000, unit = \"bytes\"",
            "value = 0x9000, unit = \"bytes\""
        ),
        ["code, data and stack fit into SRAM"]
    );
    assert_eq!(
        rules("id_shift = { value = 17", "id_shift = { value = 18"),
        ["every PE's SRAM lies in the remote window"]
    );
    assert_eq!(
        rules("id_x_shift = { value = 5", "id_x_shift = { value = 32"),
        ["every PE's SRAM lies in the remote window"]
    );
    assert_eq!(
        rules("payload_bit = { value = 11", "payload_bit = { value = 10"),
        ["fields of a transmit control word do not overlap"]
    );
    assert_eq!(
        rules("rkr = { value = 0x94", "rkr = { value = 0x90"),
        ["registers are words, distinct and inside their block"]
    );
    assert_eq!(
        rules("value = 0x00200601", "value = 0x00200641"),
        ["filters differ"]
    );
    assert_eq!(
        rules("fifo0_full = { value = 10", "fifo0_full = { value = 9"),
        ["interrupts are distinct and exist"]
    );
    assert_eq!(
        rules("fifo0_full = { value = 10", "fifo0_full = { value = 45"),
        ["interrupts are distinct and exist"]
    );
    assert_eq!(
        rules("low_hz = { value = 150_000_000", "low_hz = { value = 0"),
        ["clocks and voltages ascend"]
    );
    assert_eq!(
        rules("sleep_low = { value = 235.4", "sleep_low = { value = 535.4"),
        ["power ascends with activity"]
    );
}
