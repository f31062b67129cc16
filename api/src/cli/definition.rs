//! Definitions as the user names them: a name, `name@version`, a file, or a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use casebook_engine::definition::Definition;
use casebook_engine::definition::compile::compile;
use casebook_engine::definition::parts::calendar_files;
use casebook_engine::definition::problem::{Problem, Severity};
use casebook_engine::definition::source::SourceFile;
use casebook_engine::workflows;

use super::answer::{Failure, Trouble};
use super::page::{Page, bad, dim, strong, warn};

/// The file of a folder that is read first.
const HEAD: &str = "definition.yaml";

/// The largest file of a definition, bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Whether the user named a path rather than a definition that is known by name.
pub(super) fn is_path(name: &str) -> bool {
    let path = Path::new(name);
    let has_extension = path.extension().is_some_and(|extension| {
        ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    });
    name.contains(std::path::MAIN_SEPARATOR) || name.contains('/') || has_extension || name.starts_with('.')
}

/// The files of the definition at a path, the head first.
pub(super) fn read(path: &Path) -> Result<Vec<SourceFile>, Failure> {
    if !path.is_dir() {
        let files = vec![read_file(path, &path.display().to_string())?];
        return with_calendars(files, path.parent().unwrap_or(Path::new("")));
    }
    let head = path.join(HEAD);
    if !head.is_file() {
        return Err(Failure::NotFound(
            Trouble::new(format!("there is no {HEAD} in {}", path.display())).help(
                "a definition is one YAML file, or a folder with a definition.yaml that names its parts",
            ),
        ));
    }
    let mut files = vec![read_file(&head, HEAD)?];
    for part in yaml_files(path)?.into_iter().filter(|part| *part != head) {
        let name = part.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.push(read_file(&part, &name)?);
    }
    with_calendars(files, path)
}

/// Adds the calendars that the files name: those beside the definition, or else those that ship.
fn with_calendars(mut files: Vec<SourceFile>, folder: &Path) -> Result<Vec<SourceFile>, Failure> {
    for name in calendar_files(&files) {
        let is_there = |file: &SourceFile| file.name == name;
        let path = folder.join(&name);
        if files.iter().any(is_there) {
            continue;
        }
        if path.is_file() {
            files.push(read_file(&path, &name)?);
        } else {
            // What is neither here nor there is said when the definition is compiled.
            files.extend(workflows::calendar(&name));
        }
    }
    Ok(files)
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        if path.is_file()
            && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

pub(super) fn read_file(path: &Path, name: &str) -> Result<SourceFile, Failure> {
    let length = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
    if length > FILE_BYTES_MAX {
        return Err(Failure::input(
            format!("{} is {length} bytes long, longer than any definition", path.display()),
            "name the definition's YAML file or its folder",
        ));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::input(format!("{} is not UTF-8", path.display()), "save it as UTF-8"))?;
    Ok(SourceFile { name: name.to_owned(), text })
}

/// A file or folder of the user's that could not be read.
pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    match error.kind() {
        std::io::ErrorKind::NotFound => Failure::NotFound(
            Trouble::new(format!("there is no {path}"))
                .help("check the path: it starts from the folder that you are in"),
        ),
        std::io::ErrorKind::PermissionDenied => Failure::NotAllowed(
            Trouble::new(format!("{path} may not be read")).help("ask its owner for permission to read it"),
        ),
        std::io::ErrorKind::IsADirectory => {
            Failure::input(format!("{path} is a folder"), "name a file, perhaps one in it")
        }
        _ => Failure::Storage(Trouble::new(format!("{path} could not be read: {error}"))),
    }
}

/// The compiled definition at a path. What is wrong with it is told on the page.
pub(super) fn load(path: &Path, page: &mut Page) -> Result<Definition, Failure> {
    compiled(&read(path)?, &path.display().to_string(), page)
}

/// Compiles a definition. What is wrong with it is told on standard error.
pub(super) fn compiled(files: &[SourceFile], named: &str, page: &mut Page) -> Result<Definition, Failure> {
    compile(files).map_err(|problems| {
        if page.is_json() {
            let first = problems.first();
            let message = first.map(|problem| problem.message.clone()).unwrap_or_default();
            let place = first.map(|problem| format!("{}:{}", problem.file, problem.line));
            let help = format!("`casebook workflow check {named}` shows all {} problems", problems.len());
            return Failure::Input(Trouble { message, place, help: Some(help) });
        }
        let mut stderr = page.stderr();
        let told = tell_problems(&problems, &mut stderr).and_then(|()| stderr.flush());
        let count = super::reading::count_of(problems.len(), "problem", "problems");
        let message = format!("the definition {named} has {count}");
        match told {
            Ok(()) => Failure::Input(Trouble::new(message)),
            Err(failure) => failure,
        }
    })
}

/// The files of a definition that is named or lies at a path.
pub(super) fn sources(name: &str) -> Result<Vec<SourceFile>, Failure> {
    if let Some(files) = workflows::shipped(bare_name(name)).filter(|_| !is_path(name)) {
        return Ok(files);
    }
    if Path::new(name).exists() || is_path(name) {
        return read(Path::new(name));
    }
    Err(unknown(name))
}

fn bare_name(name: &str) -> &str {
    name.split_once('@').map_or(name, |(name, _)| name)
}

fn unknown(name: &str) -> Failure {
    Failure::NotFound(Trouble::new(format!("there is no workflow {name}")).help(format!(
        "shipped with Casebook: {}. A definition of your own is named by its file or folder",
        workflows::SHIPPED.join(", ")
    )))
}

/// The definitions that ship and those of `--workflow-dir`, compiled.
pub(super) fn all(own: &[PathBuf], page: &mut Page) -> Result<Vec<Definition>, Failure> {
    let mut definitions = Vec::new();
    for name in workflows::SHIPPED {
        let files = workflows::shipped(name).unwrap_or_default();
        definitions.push(compiled(&files, name, page)?);
    }
    for path in own {
        definitions.push(load(path, page)?);
    }
    Ok(definitions)
}

/// A definition that is named or lies at a path, compiled.
pub(super) fn named(name: &str, own: &[PathBuf], page: &mut Page) -> Result<Arc<Definition>, Failure> {
    if is_path(name) || Path::new(name).is_dir() {
        return load(Path::new(name), page).map(Arc::new);
    }
    newest(all(own, page)?.into_iter().map(Arc::new), name).ok_or_else(|| unknown(name))
}

/// Of several definitions the one of this name (the newest), or of this name and version.
pub(super) fn newest(
    definitions: impl IntoIterator<Item = Arc<Definition>>,
    name: &str,
) -> Option<Arc<Definition>> {
    definitions
        .into_iter()
        .filter(|definition| definition.name == name || definition.pin() == name)
        .max_by_key(|definition| definition.version)
}

/// Tells problems: severity, place, snippet, what to do.
pub(super) fn tell_problems(problems: &[Problem], page: &mut Page) -> Result<(), Failure> {
    for problem in problems {
        if problem.snippet.is_empty() {
            let severity = match problem.severity {
                Severity::Error => bad("error"),
                Severity::Warning => warn("warning"),
                Severity::NotProved => dim("not proved"),
            };
            page.line(&format!("{severity}[{}]: {}", problem.code, problem.message))?;
            if problem.line > 0 {
                page.line(&format!("  at {}:{}:{}", problem.file, problem.line, problem.column))?;
            }
            if let Some(help) = &problem.help {
                page.item(2, "help:", help)?;
            }
        }
        for (index, line) in problem.snippet.lines().enumerate() {
            page.line(&if index == 0 { strong(line) } else { line.to_owned() })?;
        }
        if !problem.witness.is_empty() {
            page.line("  shown by:")?;
            for (index, step) in problem.witness.iter().enumerate() {
                page.item(4, &format!("{}.", index + 1), &super::refusal::step_words(step))?;
            }
        }
        page.gap()?;
    }
    Ok(())
}
