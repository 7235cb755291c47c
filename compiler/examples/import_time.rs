//! How long files take from their path to a network: the best of a number of imports.
//!
//! usage: `import_time ROUNDS FILE ...`
//!
//! Prints a line a file: microseconds, and `imported`, `refused` (read, but not imported) or `unread`.
//! `benches/peers/import.py` holds these against Python's `nir.read`.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use nirc_compiler::nir::{ImportOptions, import, read};
use nirc_ir::network::Convention;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.next().and_then(|n| n.parse().ok());
    let (Some(rounds @ 1..), Some(convention)) = (rounds, Convention::preset("eventprop")) else {
        eprintln!("usage: import_time ROUNDS FILE ...");
        std::process::exit(2);
    };
    let options = ImportOptions {
        convention,
        dt: Some(1e-3),
        name: "timed".to_owned(),
        graded: std::collections::BTreeSet::new(),
    };
    for path in arguments {
        let outcome = outcome(Path::new(&path), &options);
        println!("{:.1} {outcome}", best(Path::new(&path), &options, rounds));
    }
}

fn outcome(path: &Path, options: &ImportOptions) -> &'static str {
    match read(path) {
        Err(_) => "unread",
        Ok((file, _)) if import(&file, options).is_err() => "refused",
        Ok(_) => "imported",
    }
}

/// The shortest time of a whole import, in microseconds.
fn best(path: &Path, options: &ImportOptions, rounds: u32) -> f64 {
    (0..rounds)
        .map(|_| {
            let start = Instant::now();
            if let Ok((file, _)) = read(path) {
                let _ = black_box(import(&file, options));
            }
            start.elapsed().as_secs_f64() * 1e6
        })
        .fold(f64::INFINITY, f64::min)
}
