use nirc_ir::codes::{MAP_ROUTES, MAP_TOO_MANY_PES};
use nirc_ir::connection::Connection;
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    ArrayDecl, ArrayKind, Body, Chan, Channel, Domain, Handler, HandlerKind, Output, Proc, Process,
    Program, Role, Tensor, TensorDecl,
};

use super::*;
use crate::abi;

/// Input, `hidden` populations in a row, the loss, and an optimiser a layer if `train`.
fn chain(hidden: usize, replicas: usize, train: bool) -> Program {
    let mut program = Program {
        name: "chain".to_owned(),
        ticks: 10,
        dt: 1e-3,
        first_tick: 1,
        window: None,
        replicas,
        tensors: PrimaryMap::new(),
        processes: PrimaryMap::new(),
        channels: PrimaryMap::new(),
    };
    program.processes.push(process("input", Role::Source, 5));
    for layer in 0..=hidden {
        let chan = Chan::new(layer);
        let loss = layer == hidden;
        let (name, role) = match loss {
            true => ("loss".to_owned(), Role::Loss),
            false => (format!("pop{layer}"), Role::Neurons),
        };
        let mut consumer = process(&name, role, if loss { 3 } else { 120 });
        if train && layer > 0 {
            consumer.handlers.push(Handler {
                kind: HandlerKind::Message(chan),
                domain: Domain::Lane,
                body: Body::default(),
            });
        }
        if train && !loss {
            let tensor = program.tensors.push(TensorDecl {
                name: format!("w{layer}"),
                rows: 1,
                lanes: 1,
                values: vec![0.0],
                trainable: true,
            });
            let kind = ArrayKind::Gradient(tensor);
            let name = "gradient".to_owned();
            consumer.arrays.push(ArrayDecl { name, kind });
        }
        let to = program.processes.push(consumer);
        let from = Proc::new(to.index() - 1);
        let bound = Some(100);
        program.channels.push(Channel {
            from,
            to,
            delay: u32::from(!loss),
            delays: None,
            connection: Connection::All,
            bound,
        });
    }
    for tensor in program.tensors.keys() {
        let role = Role::Optimiser(tensor);
        program
            .processes
            .push(process(&tensor_name(tensor), role, 1));
    }
    program
}

fn tensor_name(tensor: Tensor) -> String {
    format!("{tensor}")
}

fn process(name: &str, role: Role, lanes: usize) -> Process {
    Process {
        name: name.to_owned(),
        role,
        lanes,
        coefs: PrimaryMap::new(),
        arrays: PrimaryMap::new(),
        output: Output::Spikes,
        tape: None,
        handlers: Vec::new(),
    }
}

/// `count` quads of four, in rows of seven.
fn rows(count: u8) -> Vec<Vec<PeId>> {
    let quad = |q: u8| (q % 7 + 1) << 5 | (q / 7 + 1) << 2;
    (0..count)
        .map(|q| (0..4).map(|p| PeId::new(quad(q) | p)).collect())
        .collect()
}

fn mapped(program: &Program) -> Mapping {
    map_on(program, &rows(38), 16384).expect("it fits")
}

fn key(replica: u32, number: u32, kind: abi::Kind, index: u32) -> u32 {
    abi::key(replica, number, kind, index)
}

#[test]
fn a_small_replica_sits_in_one_quad() {
    let program = chain(1, 22, true);
    let mapping = mapped(&program);
    assert_eq!(mapping.placements.len(), 22 * 3 + 1);
    for replica in 0..22 {
        let of_replica = mapping
            .placements
            .iter()
            .filter(|p| p.instance == Instance::replica(replica));
        let at: Vec<_> = of_replica.map(|p| p.pe).collect();
        assert_eq!(at, rows(38)[replica][..3]);
    }
    let last = mapping.placements.last().expect("placements");
    assert_eq!(last.instance, Instance::OPTIMISER);
    assert_eq!(last.pe, rows(38)[22][0]);
    assert_eq!(last.procs, [Proc::new(3)]);
}

#[test]
fn the_optimiser_takes_a_left_over_pe_when_no_quad_is_free() {
    let program = chain(1, 38, true);
    let mapping = mapped(&program);
    let last = mapping.placements.last().expect("placements");
    assert_eq!(last.pe, rows(38)[37][3]);
}

#[test]
fn a_larger_replica_takes_near_quads() {
    let program = chain(4, 3, true);
    let mapping = mapped(&program);
    for replica in 0..3 {
        let instance = Instance::replica(replica);
        let of_replica = mapping.placements.iter().filter(|p| p.instance == instance);
        let at: Vec<_> = of_replica.map(|p| p.pe).collect();
        assert_eq!(at.len(), 6);
        assert!(at.iter().all(|pe| pe.distance(at[0]) <= 1), "{at:?}");
    }
}

#[test]
fn too_many_replicas_name_the_most_that_fit() {
    let errors = map_on(&chain(2, 39, true), &rows(38), 16384).expect_err("39 quads needed");
    let diagnostic = &errors.0[0];
    assert_eq!(diagnostic.code, MAP_TOO_MANY_PES);
    assert!(diagnostic.message.contains("39 replicas of 4 PEs"));
    assert!(diagnostic.message.contains("38 QuadPEs with 152 PEs"));
    let help = diagnostic.help.as_deref().expect("a remedy");
    assert!(help.contains("at most 37 replicas"), "{help}");

    let errors = map_on(&chain(20, 1, false), &rows(2), 16384).expect_err("22 PEs needed");
    let help = errors.0[0].help.as_deref().expect("a remedy");
    assert!(help.contains("not even one"), "{help}");
}

#[test]
fn more_processes_than_keys_can_name_are_refused() {
    let errors = map_on(&chain(256, 1, false), &rows(38), 16384).expect_err("258 processes");
    assert!(errors.0.iter().all(|d| d.code == MAP_ROUTES));
    let errors = map_on(&chain(1, 0, false), &rows(38), 16384).expect_err("no replica");
    assert_eq!(errors.0[0].code, MAP_TOO_MANY_PES);
}

#[test]
fn packets_reach_whom_the_contract_names() {
    use abi::Kind::{Command, Error, Marker, Spike};
    let program = chain(2, 5, true);
    let mapping = mapped(&program);
    let goes = |key: u32| -> Vec<PeId> {
        let route = table::lookup(&mapping.routes, key);
        route.map_or(Vec::new(), |r| r.to.iter().collect())
    };
    let quad = &rows(38)[3];
    let optimiser = rows(38)[5][0];
    assert_eq!(goes(key(3, 0, Spike, 4)), [quad[1]]);
    assert_eq!(goes(key(3, 1, Spike, 119)), [quad[2]]);
    assert_eq!(goes(key(3, 3, Spike, 0)), []);
    assert_eq!(goes(key(3, 0, Marker, 0)), [quad[1]]);
    assert_eq!(goes(key(3, 1, Marker, 0)), [quad[0], quad[2]]);
    assert_eq!(goes(key(3, 3, Marker, 0)), [quad[2]]);
    assert_eq!(goes(key(3, 0, Error, 1)), []);
    assert_eq!(goes(key(3, 1, Error, 119)), [quad[1]]);
    assert_eq!(goes(key(3, 2, Error, 0)), [quad[2]]);
    assert_eq!(goes(key(3, 0, Command, 0)), *quad);
    assert_eq!(goes(key(3, 1, Command, abi::READY)), [optimiser]);
    assert_eq!(goes(key(3, 0, Command, abi::READY)), []);
    assert_eq!(goes(key(abi::OPTIMISER, 0, Command, 0)), [optimiser]);
    assert_eq!(goes(key(5, 0, Command, 0)), []);
}

#[test]
fn inference_has_neither_errors_nor_optimiser() {
    let program = chain(1, 2, false);
    let mapping = mapped(&program);
    assert_eq!(mapping.placements.len(), 6);
    let optimiser = abi::key(abi::OPTIMISER, 0, abi::Kind::Command, 0);
    assert_eq!(table::lookup(&mapping.routes, optimiser), None);
}

#[test]
fn one_masked_entry_serves_where_it_can() {
    let program = chain(1, 22, true);
    let mapping = mapped(&program);
    // A source's spikes and markers go to the same PE; all READYs to the optimiser.
    let flows = traffic::flows(&program, &mapping.placements);
    assert!(mapping.routes.len() < flows.len() - 22);
    let entry = Keys::new(0, 0xFFFF_8000);
    assert!(mapping.routes.iter().any(|r| r.keys == entry));
}

#[test]
fn broken_tables_are_detected() {
    let program = chain(2, 4, true);
    let sound = mapped(&program);
    let check = |mapping: &Mapping| verify(mapping, &program, 16384);
    assert_eq!(check(&sound), Ok(()));

    for i in 0..sound.routes.len() {
        let mut broken = sound.clone();
        broken.routes.remove(i);
        assert!(matches!(check(&broken), Err(MappingError::Delivery { .. })));
        let mut broken = sound.clone();
        broken.routes[i].to.insert(rows(38)[37][3]);
        assert!(matches!(check(&broken), Err(MappingError::Delivery { .. })));
    }

    let mut broken = sound.clone();
    let shadow = Route {
        keys: Keys::new(0, 0),
        to: PeSet::default(),
    };
    broken.routes.insert(0, shadow);
    assert!(matches!(check(&broken), Err(MappingError::Delivery { .. })));
    broken = sound.clone();
    broken.routes.push(shadow);
    assert!(matches!(check(&broken), Err(MappingError::Stray(..))));

    assert_eq!(
        verify(&sound, &program, sound.routes.len() - 1),
        Err(MappingError::TooManyRoutes {
            found: sound.routes.len(),
            available: sound.routes.len() - 1,
        })
    );

    broken = sound.clone();
    broken.placements[1].pe = broken.placements[0].pe;
    assert!(matches!(check(&broken), Err(MappingError::PeTwice(_))));

    let many = chain(2, 1000, true);
    assert_eq!(
        verify(&sound, &many, 16384),
        Err(MappingError::Replicas(1000))
    );

    broken = sound.clone();
    broken.placements.pop();
    assert!(matches!(
        check(&broken),
        Err(MappingError::Placed { found: 0, .. })
    ));
}

#[test]
fn merging_keeps_every_key() {
    let to = |pe| PeSet::from_iter([PeId::new(pe)]);
    let routes: Vec<Route> = (0..32)
        .filter(|k| k % 7 != 0)
        .map(|k| Route {
            keys: Keys::one(k),
            to: to((k % 3 == 0) as u8),
        })
        .collect();
    let merged = table::merge(routes.clone());
    assert!(merged.len() < routes.len());
    for key in 0..64 {
        let before = table::lookup(&routes, key).map(|r| r.to);
        assert_eq!(table::lookup(&merged, key).map(|r| r.to), before);
    }
}

#[test]
fn the_text_is_complete_and_stable() {
    let program = chain(1, 2, true);
    let text = mapped(&program).text(&program).to_string();
    assert_eq!(text, mapped(&program).text(&program).to_string());
    for part in [
        "mapping @chain  style = paper  replicas = 2  pes = 7",
        "(1,1,0) peid 24  replica 0    proc0 @input",
        "marker proc1 @pop0",
        "error chan1 @loss -> @pop0",
        "ready proc1 @pop0",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn the_built_in_target_has_room_for_the_published_run() {
    let target = Target::spinnaker2();
    let mapping = map(&chain(1, 22, true), &target).expect("it fits");
    let all: Vec<PeId> = quads(&target).concat();
    assert_eq!(all.len() as u32, target.chip.pes);
    assert!(mapping.placements.iter().all(|p| all.contains(&p.pe)));
    let pe = mapping.placements[1].pe;
    assert_eq!((pe.quad(), pe.place()), ((7, 6), 1));
    assert_eq!(target.pe_id(pe.quad(), pe.place()), u32::from(pe.raw()));
}
