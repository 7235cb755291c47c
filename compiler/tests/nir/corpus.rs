use std::path::Path;
use nirc_compiler::nir::*;
use nirc_ir::network::Convention;
#[test]
fn dump() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let mut files = vec![];
    fn walk(d: &Path, files: &mut Vec<std::path::PathBuf>) { for e in std::fs::read_dir(d).unwrap() { let p=e.unwrap().path(); if p.is_dir() {walk(&p,files)} else { let e=p.extension().and_then(|e|e.to_str()).unwrap_or(""); if e=="nir"||e=="h5"||e=="hex" {files.push(p)} } } }
    walk(&shared.join("nir"), &mut files); walk(&shared.join("models"), &mut files);
    files.sort();
    for p in files {
        println!("== {}", p.strip_prefix(&shared).unwrap().display());
        match read(&p) {
            Err(d) => println!("READ {d}"),
            Ok((f, d)) => {
                if !d.0.is_empty() { println!("read: {d}"); }
                match import(&f, &ImportOptions{convention: Convention::preset("nir").unwrap(), dt: Some(1e-4), name: "x".into()}) {
                    Err(d) => println!("{d}"),
                    Ok((n,d)) => { println!("OK {:?} out {:?}", n.populations.iter().map(|(_,p)| (p.name.clone(), p.size)).collect::<Vec<_>>(), n.output); println!("{d}"); }
                }
            }
        }
    }
}
