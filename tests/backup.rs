//! A backup holds what was acknowledged, and a restore that is not whole is no store.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use casebook_engine::case::event::Position;
use casebook_engine::engine::{Engine, Opening, RecordOptions};
use casebook_engine::restore::{RestoreError, restore};
use casebook_engine::signer::Signer;
use casebook_engine::store::backup::{BackupError, Manifest, back_up};
use casebook_engine::store::files::{DiskFiles, Files};
use casebook_engine::store::{OpenError, SledOptions, SledStore, StoredEvent};
use casebook_tests::appends::whole_log;
use casebook_tests::chance::{Numbers, seed, times};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::desk::{Desk, event, small};
use crate::office::Office;

/// Short segments, so that a backup holds several, and begins and ends within one.
fn options() -> SledOptions {
    SledOptions { segment_bytes_max: 8 * 1024, ballast_bytes: 0, ..SledOptions::default() }
}

fn desk_at(path: &Path) -> Desk {
    let store = SledStore::open_or_create(path, options()).unwrap();
    let signer = Signer::new(store.path(), store.store_id());
    let engine = Engine::open(Arc::new(store), vec![small()]).unwrap();
    engine.sign_with(signer);
    Desk::of_open_case(engine, "R/0")
}

fn open_case(desk: &Desk, number: usize) {
    let opening = Opening {
        reference: format!("R/{number}"),
        workflow: "small-inquiry".into(),
        event: event(&desk.definition, "case-opened"),
        then: Vec::new(),
    };
    desk.wait(desk.engine.open_case(opening, RecordOptions::default())).unwrap();
}

/// A backup into a file of the folder.
fn backed_up(store: &Path, since: Option<&Path>, file: &Path) -> Result<Manifest, BackupError> {
    let files: Arc<dyn Files> = Arc::new(DiskFiles);
    let since = since.map(|since| Manifest::read(std::fs::File::open(since).unwrap()).unwrap());
    back_up(store, since.as_ref(), &files, std::fs::File::create(file).unwrap(), &|_, _, _| {})
}

fn restored(place: &Path, backups: &[PathBuf]) -> Result<Vec<StoredEvent>, RestoreError> {
    let step: Arc<dyn Fn(&'static str, u64, u64) + Send + Sync> = Arc::new(|_, _, _| {});
    restore(place, backups, Vec::new(), options(), &step)?.put(place)?;
    let store = SledStore::open(place, options()).unwrap();
    assert_eq!(store.recovery().rebuilt, None);
    let log = whole_log(&store);
    Ok(log)
}

fn names(folder: &Path) -> Vec<String> {
    DiskFiles.list(folder).unwrap()
}

#[test]
fn a_backup_taken_while_others_record_holds_what_was_acknowledged_before_it() {
    const BACKUPS: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let desk = desk_at(&path);
    let is_over = AtomicBool::new(false);
    let mut chain: Vec<PathBuf> = Vec::new();
    let mut ends: Vec<(u64, Manifest)> = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                open_case(&desk, number);
                number += 1;
            }
        });
        for number in 0..BACKUPS {
            let acknowledged = desk.engine.store().head().borrow().0;
            let file = folder.path().join(format!("{number}.backup"));
            let manifest = backed_up(&path, chain.last().map(PathBuf::as_path), &file).unwrap();
            chain.push(file);
            ends.push((acknowledged, manifest));
            if number == BACKUPS / 2 {
                desk.engine.signer().unwrap().sign(desk.engine.store().as_ref()).unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let log = desk.engine.store().read_log(Position(0), 100_000).unwrap();
    for (number, (acknowledged, manifest)) in ends.iter().enumerate() {
        assert!(manifest.to.position.0 >= *acknowledged, "backup {number}");
    }
    assert!(ends.last().unwrap().1.to.position.0 > 20, "others recorded meanwhile");
    for count in [1, BACKUPS / 2, BACKUPS] {
        let place = folder.path().join(format!("restored-{count}"));
        let again = restored(&place, &chain[..count]).unwrap();
        let end = usize::try_from(ends[count - 1].1.to.position.0).unwrap();
        let bytes = |log: &[StoredEvent]| log.iter().map(|event| event.bytes.clone()).collect::<Vec<_>>();
        assert_eq!(bytes(&again), bytes(&log[..end]), "{count} backups");
    }
    // The restored store goes on: it records, and its own backups continue the chain.
    let place = folder.path().join(format!("restored-{BACKUPS}"));
    let desk = desk_at(&place);
    open_case(&desk, 1_000_000);
    let file = folder.path().join("after.backup");
    let after = backed_up(&place, chain.last().map(PathBuf::as_path), &file).unwrap();
    assert_eq!(after.events(), 1);
    drop(desk);
    chain.push(file);
    restored(&folder.path().join("restored-after"), &chain).unwrap();
    // The old store has gone another way since.
    let problem =
        backed_up(&path, chain.last().map(PathBuf::as_path), &folder.path().join("fork")).unwrap_err();
    assert!(matches!(problem, BackupError::NotContinued(_)), "{problem}");
}

/// A store with some cases, and a backup of it and one that continues it.
fn two_backups(folder: &Path) -> [PathBuf; 2] {
    let path = folder.join("store");
    let files = [folder.join("1.backup"), folder.join("2.backup")];
    let desk = desk_at(&path);
    (0..30).for_each(|number| open_case(&desk, number));
    desk.engine.signer().unwrap().sign(desk.engine.store().as_ref()).unwrap();
    backed_up(&path, None, &files[0]).unwrap();
    (30..60).for_each(|number| open_case(&desk, number));
    backed_up(&path, Some(&files[0]), &files[1]).unwrap();
    files
}

#[test]
fn backups_that_do_not_follow_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = two_backups(folder.path());
    let other = tempfile::tempdir().unwrap();
    let [of_another, continues_another] = two_backups(other.path());
    let place = folder.path().join("restored");
    let check = |backups: &[&PathBuf], word: &str| {
        let backups: Vec<PathBuf> = backups.iter().map(|path| (*path).clone()).collect();
        let problem = restored(&place, &backups).unwrap_err().to_string();
        assert!(problem.contains(word), "{word}: {problem}");
        assert_eq!(names(folder.path()), ["1.backup", "2.backup", "store"], "{word}");
    };
    check(&[&second], "name the backup that it continues");
    check(&[&second, &first], "name the backup that it continues");
    check(&[&first, &first], "only the first can be");
    check(&[&first, &second, &second], "one is missing, or the order is another");
    check(&[&first, &continues_another], "is of the store");
    check(&[&of_another, &second], "is of the store");
    assert_eq!(restored(&place, &[first, second]).unwrap().len(), 60);
}

#[test]
fn a_damaged_backup_restores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [first, _] = two_backups(folder.path());
    let whole = std::fs::read(&first).unwrap();
    let place = folder.path().join("restored");
    let log = restored(&place, std::slice::from_ref(&first)).unwrap();
    std::fs::remove_dir_all(&place).unwrap();
    let file = folder.path().join("damaged");
    let mut numbers = Numbers(seed());
    let mut refused = 0;
    for _ in 0..times(60) {
        let mut bytes = whole.clone();
        let at = usize::try_from(numbers.below(bytes.len() as u64)).unwrap();
        if numbers.below(3) == 0 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << numbers.below(8);
        }
        std::fs::write(&file, &bytes).unwrap();
        match restored(&place, std::slice::from_ref(&file)) {
            Err(_) => {
                refused += 1;
                assert!(!place.exists());
            }
            // gzip's header has a few bits that mean nothing.
            Ok(again) => {
                assert!(at < 10, "byte {at}");
                assert_eq!(again.len(), log.len());
                std::fs::remove_dir_all(&place).unwrap();
            }
        }
        let left = names(folder.path());
        assert!(left.iter().all(|name| !name.contains("unfinished")), "{left:?}");
    }
    assert!(refused > 50);
}

/// The entries of a backup, each changed as wanted, packed anew.
fn repacked(backup: &Path, into: &Path, change: impl Fn(&str, &mut Vec<u8>) -> String) {
    let mut archive = tar::Archive::new(GzDecoder::new(std::fs::File::open(backup).unwrap()));
    let encoder = GzEncoder::new(std::fs::File::create(into).unwrap(), Compression::fast());
    let mut packed = tar::Builder::new(encoder);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let name = change(&name, &mut bytes);
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        // By hand: the library refuses to write a name that leads out of the folder.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        packed.append(&header, bytes.as_slice()).unwrap();
    }
    packed.into_inner().unwrap().finish().unwrap();
}

#[test]
fn a_backup_that_was_rewritten_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let [first, _] = two_backups(folder.path());
    let file = folder.path().join("rewritten");
    let place = folder.path().join("restored");
    let swap = |bytes: &mut Vec<u8>, from: &str, to: &str| {
        let text = String::from_utf8(std::mem::take(bytes)).unwrap();
        assert!(text.contains(from));
        *bytes = text.replace(from, to).into_bytes();
    };
    let check = |change: &dyn Fn(&str, &mut Vec<u8>) -> String, word: &str| {
        repacked(&first, &file, change);
        let problem = restored(&place, std::slice::from_ref(&file)).unwrap_err().to_string();
        assert!(problem.contains(word), "{word}: {problem}");
        assert!(!place.exists() && names(folder.path()).iter().all(|name| !name.contains("unfinished")));
    };
    // The control: packed anew without a change it restores.
    repacked(&first, &file, |name, _| name.to_owned());
    assert_eq!(restored(&place, std::slice::from_ref(&file)).unwrap().len(), 30);
    std::fs::remove_dir_all(&place).unwrap();

    let root = Manifest::read(std::fs::File::open(&first).unwrap()).unwrap().to.root;
    let other = format!("A{}", &root[1..]);
    let other = if other == root { format!("B{}", &root[1..]) } else { other };
    let manifest = |from: &str, to: &str| {
        let (from, to) = (from.to_owned(), to.to_owned());
        move |name: &str, bytes: &mut Vec<u8>| {
            if name == "backup.json" {
                swap(bytes, &from, &to);
            }
            name.to_owned()
        }
    };
    check(&manifest(&root, &other), "checkpoint");
    check(&manifest("\"format\": 1", "\"format\": 2"), "format 2");
    check(&manifest("casebook backup", "another backup"), "something else's");
    let rename = |from: &'static str, to: &'static str| {
        move |name: &str, bytes: &mut Vec<u8>| {
            if name == "backup.json" {
                swap(bytes, from, to);
            }
            name.replace(from, to)
        }
    };
    check(&rename("keys/last-signed", "keys/../../escaped"), "no file of a store");
    check(&rename("keys/last-signed", "sled/conf"), "no file of a store");
    check(
        &|name, bytes| {
            if name.starts_with("journal/") {
                let at = bytes.len() / 2;
                bytes[at] ^= 1;
            }
            name.to_owned()
        },
        "damaged",
    );
    check(
        &|name, bytes| {
            if name == "keys/last-signed" {
                let text = String::from_utf8(bytes.clone()).unwrap();
                let root = text.lines().nth(2).unwrap();
                *bytes = text.replace(root, &other).into_bytes();
            }
            name.to_owned()
        },
        "checkpoint",
    );
}

/// Starts the program and kills it after a while, unless it is done before; says whether it was.
fn killed_after(mut command: Command, pause: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(pause);
    let is_done = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    is_done
}

#[test]
fn killed_at_any_moment_a_backup_or_a_restore_leaves_nothing_half_made() {
    let office = Office::new();
    let lines: String = (0..400)
        .map(|number| {
            format!(
                "{{\"case\":\"R/{number}\",\"type\":\"case-opened\",\"workflow\":\"small-inquiry\",\"recorded_by\":{{\"id\":\
                 \"clerk-1\",\"role\":\"clerk\"}}}}\n"
            )
        })
        .collect();
    let file = office.file("cases.jsonl", lines);
    office.done(&["import", &file]);
    let folder = office.data().parent().unwrap().to_owned();
    let whole = folder.join("whole.backup");
    office.done(&["backup", whole.to_str().unwrap()]);
    let mut numbers = Numbers(seed());
    let mut half_made = 0;
    for kill in 0..times(24) {
        let pause = Duration::from_millis(numbers.below(400));
        let file = folder.join(format!("{kill}.backup"));
        killed_after(office.command(&["backup", file.to_str().unwrap()]), pause);
        if file.exists() {
            office.done(&["restore", file.to_str().unwrap(), "--dry-run"]);
        }
        let place = folder.join(format!("restored-{kill}"));
        let restore = ["restore", whole.to_str().unwrap(), "--json"];
        let is_done = killed_after(office.command_on(&place, &restore), pause);
        let unfinished: Vec<String> = names(&folder)
            .into_iter()
            .filter(|name| name.starts_with(&format!(".restored-{kill}.unfinished")))
            .collect();
        for name in &unfinished {
            half_made += 1;
            // The control: what a killed restore leaves is there, and nobody takes it for a store.
            let opened = SledStore::open(&folder.join(name), options());
            let is_verified = folder.join(name).join("format").exists();
            assert!(
                is_verified || matches!(opened, Err(OpenError::Foreign { .. } | OpenError::NotThere { .. }))
            );
        }
        if place.exists() {
            let store = SledStore::open(&place, options()).unwrap();
            assert_eq!(whole_log(&store).len(), 400, "kill {kill}");
        } else {
            assert!(!is_done, "kill {kill}");
            let answer = office.run_on(&place, &restore);
            assert_eq!(answer.code, 0, "{answer:?}");
        }
        assert!(names(&folder).iter().all(|name| !name.starts_with(&format!(".restored-{kill}."))));
        std::fs::remove_dir_all(&place).unwrap();
    }
    assert!(half_made > 0, "no kill came while a store was being made: the test showed nothing");
}
