//! Checkpoints and proofs are checked by tools that this project did not write: Go's `sumdb/note` and `sumdb/tlog`.
//!
//! They are fetched on demand, pinned, as Debian packages into `target/tools`, and unpacked there: nothing is installed.
//! `CASEBOOK_TESTS_OFFLINE=1` skips this, and says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use casebook_engine::case::event::Position;
use casebook_engine::signer::Signer;
use casebook_engine::store::{EventStore, LogTree, SledOptions, SledStore};
use casebook_tests::appends::append;

const PACKAGES: [&str; 3] =
    ["golang-1.19-go=1.19.8-2", "golang-1.19-src=1.19.8-2", "golang-golang-x-mod-dev=0.7.0-1"];
const ADVICE: &str = "Go 1.19 and its package golang.org/x/mod could not be fetched with `apt-get download`. Where there is no \
                      apt, set CASEBOOK_TESTS_OFFLINE=1: the test is skipped then";

pub(crate) fn is_offline() -> bool {
    #[expect(clippy::disallowed_methods, reason = "the switch of a test is not the program's own setting")]
    let set = std::env::var_os("CASEBOOK_TESTS_OFFLINE");
    set.is_some_and(|value| value == "1")
}

/// Where tools are kept: `target/tools`.
pub(crate) fn tools() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().join("tools")
}

pub(crate) fn run(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

/// Go, unpacked; fetched where it is not there yet.
fn go() -> PathBuf {
    let go = tools().join("go-1.19.8");
    if go.join("usr/lib/go-1.19/bin/go").exists() {
        return go;
    }
    let part = tools().join(format!("go-1.19.8.part-{}", std::process::id()));
    fs::create_dir_all(&part).unwrap();
    let download = || run(Command::new("apt-get").arg("download").args(PACKAGES).current_dir(&part));
    let fetched = download() || (run(Command::new("apt-get").args(["update", "-qq"])) && download());
    assert!(fetched, "{ADVICE}");
    for entry in fs::read_dir(&part).unwrap() {
        let package = entry.unwrap().path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            assert!(run(Command::new("dpkg").arg("-x").arg(&package).arg(&part)), "{ADVICE}");
            fs::remove_file(package).unwrap();
        }
    }
    // Another test run may have been faster.
    let placed = fs::rename(&part, &go);
    assert!(placed.is_ok() || go.exists(), "{placed:?}");
    go
}

/// The checking program, built.
fn checker(folder: &Path) -> PathBuf {
    let go = go();
    let program = folder.join("check");
    let root = go.join("usr/lib/go-1.19");
    let built = Command::new(root.join("bin/go"))
        .args(["build", "-o"])
        .arg(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("outside/check.go"))
        .env("GOROOT", &root)
        .env("GOPATH", go.join("usr/share/gocode"))
        .env("GOCACHE", go.join("cache"))
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("CGO_ENABLED", "0")
        .status();
    assert!(built.is_ok_and(|status| status.success()), "the checking program does not build");
    program
}

#[test]
fn other_peoples_tools_confirm_checkpoints_and_proofs_and_notice_a_changed_byte() {
    if is_offline() {
        println!("skipped: CASEBOOK_TESTS_OFFLINE=1, so Go's packages are not fetched");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let check = checker(folder.path());
    let store = SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).unwrap();
    let signer = Signer::new(store.path(), store.store_id());
    for case in 0..7 {
        store.append(append(case, 0, 50)).unwrap();
    }
    let old = signer.sign(&store).unwrap();
    for case in 7..13 {
        store.append(append(case, 0, 50)).unwrap();
    }
    let new = signer.sign(&store).unwrap();
    let old_file = folder.path().join("old.checkpoint");
    fs::write(&old_file, old.note.to_string()).unwrap();
    let tree = LogTree::at_head(&store).unwrap();
    let path: Vec<String> = tree
        .consistency_proof(old.checkpoint.size)
        .unwrap()
        .iter()
        .map(|hash| STANDARD.encode(hash))
        .collect();
    let confirms = |proof: &str, vkey: &str, old: &Path, path: &str| {
        let file = folder.path().join("proof.json");
        fs::write(&file, proof).unwrap();
        run(Command::new(&check).arg(vkey).arg(file).arg(old).arg(path))
    };
    let vkey = new.key.to_string();
    for position in [1, 2, 256, 257, 350, 351, 512, 649, 650] {
        let path_to = tree.inclusion_proof(Position(position)).unwrap();
        let event = store.read_log(Position(position - 1), 1).unwrap().remove(0);
        let proof = serde_json::json!({
            "event_base64": STANDARD.encode(&event.bytes),
            "position": position,
            "inclusion": path_to.iter().map(|hash| STANDARD.encode(hash)).collect::<Vec<_>>(),
            "checkpoint": new.note.to_string(),
        });
        let text = proof.to_string();
        assert!(confirms(&text, &vkey, &old_file, &path.join(",")), "event {position}");
        let mut changed = proof.clone();
        changed["event_base64"] = STANDARD.encode([&event.bytes[..], b" "].concat()).into();
        assert!(!confirms(&changed.to_string(), &vkey, &old_file, &path.join(",")));
        let mut changed = proof;
        changed["checkpoint"] = new.note.to_string().replacen("\n650\n", "\n651\n", 1).into();
        assert!(!confirms(&changed.to_string(), &vkey, &old_file, &path.join(",")));
        let stranger = Signer::new(&folder.path().join("other"), uuid::Uuid::nil()).public_key().unwrap();
        assert!(!confirms(&text, &stranger.to_string(), &old_file, &path.join(",")));
        let shorter = path[1..].join(",");
        assert!(!confirms(&text, &vkey, &old_file, &shorter));
    }
}
