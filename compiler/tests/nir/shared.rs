//! The .nir files in `../shared`, beside the repository. A test that needs them is skipped with a note
//! where they are absent; with `NIRC_ORACLES=required` it fails.

use std::path::{Path, PathBuf};

use nirc_tests::tools::skip;

/// The directory, if it is there.
pub(crate) fn dir() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    if dir.join("nir").is_dir() {
        return Some(dir);
    }
    skip("there is no shared data beside the workspace");
    None
}

/// All files of graphs, with their paths below the directory, in order of those.
pub(crate) fn files() -> Option<Vec<(String, PathBuf)>> {
    let root = dir()?;
    let mut files = Vec::new();
    for part in ["nir", "models"] {
        collect(&root, &root.join(part), &mut files);
    }
    files.sort();
    Some(files)
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<(String, PathBuf)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|e| e.to_str());
        if path.is_dir() {
            collect(root, &path, files);
        } else if matches!(extension, Some("nir" | "h5" | "hex")) {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            files.push((name.to_owned(), path));
        }
    }
}

/// The models of the examples, in order of their paths.
pub(crate) fn examples() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    collect(&root, &root.join("examples"), &mut files);
    files.sort();
    files
}

/// The bytes of a file; `.hex` files hold them as digits, between comments that start with `#`.
pub(crate) fn bytes(path: &Path) -> Vec<u8> {
    if path.extension().is_none_or(|e| e != "hex") {
        return std::fs::read(path).unwrap();
    }
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits: Vec<u8> = lines
        .flat_map(str::chars)
        .filter_map(|c| c.to_digit(16).map(|d| d as u8))
        .collect();
    digits.chunks_exact(2).map(|d| d[0] << 4 | d[1]).collect()
}
