//! `casebook workflow`: definitions, read, checked and compared.

use std::sync::Arc;

use casebook_engine::definition::compile::compile;
use casebook_engine::definition::definition_schema::definition_schema;
use casebook_engine::definition::problem::Severity;
use casebook_engine::definition::{Branch, Definition, EventType, KindId, RoleId, Strand};
use casebook_engine::definition::{diagram, diff, lint};
use clap::{Args, Subcommand, ValueEnum};

use super::Globals;
use super::answer::{Failure, Trouble};
use super::page::{Page, bad, dim, good, strong};
use super::reading::count_of;
use super::workflow_test::TestArgs;
use super::{
    definition, folder, workflow_diff, workflow_discover, workflow_page, workflow_test, workflow_trial,
};

/// `casebook workflow`
#[derive(Debug, Subcommand)]
pub(super) enum WorkflowCommand {
    /// List the definitions that are known here
    List,
    /// Read a definition: its events, strands and rules
    Show(ShowArgs),
    /// Find mistakes in a definition before anybody depends on it; exit code 9 if there are errors
    #[command(after_help = "Examples:
  casebook workflow check police-conduct
  casebook workflow check ./my-workflow --json")]
    Check(NamedArgs),
    /// Draw a strand
    #[command(after_help = "Examples:
  casebook workflow diagram police-conduct charge > charge.svg
  casebook workflow diagram police-conduct charge --format dot | dot -Tpng > charge.png")]
    Diagram(DiagramArgs),
    /// Run the scenarios beside a definition; exit code 9 if one fails
    Test(TestArgs),
    /// Try a draft on the cases that there are, and write nothing; exit code 9 if it refuses what happened
    Trial(workflow_trial::TrialArgs),
    /// Write the transition tables of all strands, as Markdown
    #[command(after_help = "Examples:
  casebook workflow table ./my-workflow > my-workflow/transitions.md")]
    Table(NamedArgs),
    /// Write a page for the people who work by a definition, as Markdown
    #[command(after_help = "Examples:
  casebook workflow page ./my-workflow > my-workflow.md")]
    Page(NamedArgs),
    /// Print the JSON Schema of definition files, for editors
    #[command(after_help = "Examples:
  casebook workflow schema > definition.schema.json")]
    Schema,
    /// Compare two definitions: which sequences were lawful and now are not, and the reverse
    #[command(after_help = "Examples:
  casebook workflow diff police-conduct ./police-conduct-draft")]
    Diff(DiffArgs),
    /// Draft a definition from a log of another system, and the mapping that goes with it
    Discover(workflow_discover::DiscoverArgs),
}

/// A definition.
#[derive(Debug, Args)]
pub(super) struct NamedArgs {
    /// NAME, NAME@VERSION, a file or a folder
    #[arg(value_name = "NAME|PATH")]
    name: String,
}

/// What to show of a definition.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  casebook workflow show police-conduct
  casebook workflow show police-conduct sentence-passed     one event, with its fields and rules
  casebook workflow show police-conduct charge              one strand, with its transitions")]
pub(super) struct ShowArgs {
    /// NAME, NAME@VERSION, a file or a folder
    #[arg(value_name = "NAME|PATH")]
    name: String,
    /// One event type or strand of it
    #[arg(value_name = "EVENT|STRAND")]
    part: Option<String>,
}

/// What to draw.
#[derive(Debug, Args)]
pub(super) struct DiagramArgs {
    /// NAME, NAME@VERSION, a file or a folder
    #[arg(value_name = "NAME|PATH")]
    name: String,
    /// The strand
    #[arg(value_name = "STRAND")]
    strand: String,
    /// As what
    #[arg(long, value_enum, default_value_t = DiagramFormat::Svg, value_name = "FORMAT")]
    format: DiagramFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DiagramFormat {
    /// A picture for browsers and documents
    Svg,
    /// For Graphviz
    Dot,
    /// For Markdown pages
    Mermaid,
}

/// What to compare.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The earlier definition: NAME, NAME@VERSION, a file or a folder
    #[arg(value_name = "A")]
    earlier: String,
    /// The later one
    #[arg(value_name = "B")]
    later: String,
}

/// Runs the command.
pub(super) fn run(command: WorkflowCommand, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    match command {
        WorkflowCommand::List => list(globals, page),
        WorkflowCommand::Show(args) => show(&args, globals, page),
        WorkflowCommand::Check(args) => check(&args.name, page),
        WorkflowCommand::Diagram(args) => draw(&args, globals, page),
        WorkflowCommand::Table(args) => workflow_page::table(&args.name, page),
        WorkflowCommand::Page(args) => workflow_page::run(&args.name, page),
        WorkflowCommand::Schema => page.json(&definition_schema()),
        WorkflowCommand::Test(args) => workflow_test::run(&args, page),
        WorkflowCommand::Trial(args) => workflow_trial::run(&args, globals, page),
        WorkflowCommand::Discover(args) => workflow_discover::run(&args, page),
        WorkflowCommand::Diff(args) => compare(&args, globals, page),
    }
}

/// The definition of this name: of the store, if there is one and it has it, of `--workflow-dir`, or shipped.
pub(super) fn find(name: &str, globals: &Globals, page: &mut Page) -> Result<Arc<Definition>, Failure> {
    if !definition::is_path(name) && globals.data.is_dir() {
        let engine = folder::existing(globals, page)?;
        if let Some(found) = definition::newest(engine.definitions(), name) {
            return Ok(found);
        }
    }
    definition::named(name, &globals.workflow_dir, page)
}

fn list(globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let definitions: Vec<Arc<Definition>> = if globals.data.is_dir() {
        folder::existing(globals, page)?.definitions()
    } else {
        definition::all(&globals.workflow_dir, page)?.into_iter().map(Arc::new).collect()
    };
    if page.is_json() {
        for definition in &definitions {
            page.json_line(&serde_json::json!({
                "workflow": definition.name,
                "version": definition.version,
                "title": definition.title,
                "digest": definition.digest_hex(),
                "events": definition.events.len(),
                "strands": definition.strands.len(),
            }))?;
        }
        return Ok(());
    }
    let rows = definitions.iter().map(|definition| {
        vec![
            definition.pin(),
            definition.title.clone(),
            definition.events.len().to_string(),
            definition.strands.len().to_string(),
        ]
    });
    page.table(&["workflow", "title", "events", "strands"], rows.collect())
}

fn show(args: &ShowArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let definition = find(&args.name, globals, page)?;
    if page.is_json() {
        page.bytes(definition.canonical.as_bytes())?;
        return page.bytes(b"\n");
    }
    let Some(part) = &args.part else { return show_all(&definition, page) };
    if let Some(id) = definition.event(part) {
        return show_event(&definition, definition.event_type(id), page);
    }
    if let Some(id) = definition.strand(part) {
        return show_strand(&definition, &definition.strands[id.index()], page);
    }
    Err(Failure::NotFound(
        Trouble::new(format!("{} has no event and no strand {part}", definition.pin()))
            .help(format!("`casebook workflow show {}` lists them", args.name)),
    ))
}

fn show_all(definition: &Definition, page: &mut Page) -> Result<(), Failure> {
    page.paragraph(0, &format!("{}  {}", strong(&definition.title), dim(&definition.pin())))?;
    page.line(&dim(&format!("digest {}, days end in {}", definition.digest_hex(), definition.timezone)))?;
    page.heading("Roles")?;
    for role in &definition.roles {
        let may = if role.may_override { ", may record against a logical rule with a reason" } else { "" };
        page.item(2, "•", &format!("{} {}{may}", role.title, dim(&format!("({})", role.name))))?;
    }
    page.heading("Of what a case has several")?;
    for kind in &definition.kinds {
        let parent = kind.parent.map(|parent| format!(", of a {}", definition.kinds[parent.index()].name));
        page.item(2, "•", &format!("{}{}", kind.name, parent.unwrap_or_default()))?;
    }
    page.heading("Strands")?;
    for strand in &definition.strands {
        let states: Vec<&str> = strand.states.iter().map(|state| state.name.as_str()).collect();
        let per = strand.per.map_or("the case", |kind| definition.kinds[kind.index()].name.as_str());
        page.item(2, "•", &format!("{} of {per}: {}", strong(&strand.name), states.join(", ")))?;
    }
    for strand in &definition.derived {
        let states: Vec<&str> = strand.states.iter().map(|state| state.name.as_str()).collect();
        let per = strand.per.map_or("the case", |kind| definition.kinds[kind.index()].name.as_str());
        page.item(2, "•", &format!("{} of {per}, worked out: {}", strong(&strand.name), states.join(", ")))?;
    }
    if !definition.deadlines.is_empty() {
        page.heading("Deadlines")?;
    }
    for deadline in &definition.deadlines {
        let per = deadline.per.map_or("the case", |kind| definition.kinds[kind.index()].name.as_str());
        let words = format!("{} of {per}: {}", strong(&deadline.name), deadline.due_in_words());
        page.item(2, "•", &words)?;
    }
    let mut part = "";
    for event in &definition.events {
        if event.part != part {
            part = &event.part;
            page.heading(&format!("Events: {part}"))?;
        }
        let rules = match event.rules.len() {
            0 => String::new(),
            rules => dim(&format!(", {}", count_of(rules, "rule", "rules"))),
        };
        page.item(2, "•", &format!("{}: {}{rules}", strong(&event.name), event.title))?;
    }
    Ok(())
}

fn show_event(definition: &Definition, event: &EventType, page: &mut Page) -> Result<(), Failure> {
    page.line(&format!("{}  {}", strong(&event.title), dim(&event.name)))?;
    let kinds = |ids: &[KindId]| joined(ids.iter().map(|kind| definition.kinds[kind.index()].name.as_str()));
    let roles = |ids: &[RoleId]| joined(ids.iter().map(|role| definition.roles[role.index()].name.as_str()));
    let rationale = if event.rationale_required { "required" } else { "" };
    let gap = if event.may_be_gap { "may be declared where nobody has its details" } else { "" };
    let facts = [
        ("part", event.part.clone()),
        ("about", kinds(&event.scope)),
        ("may also name", kinds(&event.scope_optional)),
        ("recorded by", roles(&event.record)),
        ("decided by", event.decide.join(", ")),
        ("rationale", rationale.to_owned()),
        ("gap", gap.to_owned()),
        ("protected", event.protect.join(", ")),
        ("basis", event.basis.clone().unwrap_or_default()),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        page.item(2, &dim(&format!("{name}:")), value)?;
    }
    show_fields(event, page)?;
    show_rules(event, page)
}

fn joined<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn show_fields(event: &EventType, page: &mut Page) -> Result<(), Failure> {
    let schema = &event.schema.source;
    let Some(fields) = schema.get("properties").and_then(|fields| fields.as_object()) else { return Ok(()) };
    if fields.is_empty() {
        return Ok(());
    }
    page.heading("Fields")?;
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (name, field) in fields {
        let mark = if required.iter().any(|one| one == name) { " (required)" } else { "" };
        page.item(2, "•", &format!("{}{mark}: {}", strong(name), field_words(field)))?;
    }
    Ok(())
}

fn show_rules(event: &EventType, page: &mut Page) -> Result<(), Failure> {
    if event.rules.is_empty() {
        return Ok(());
    }
    page.heading("Rules")?;
    for rule in &event.rules {
        let class = serde_json::to_value(rule.class).ok().and_then(|class| class.as_str().map(str::to_owned));
        page.item(2, "•", &format!("{} {}", strong(&rule.id), dim(&class.unwrap_or_default())))?;
        if let Some(when) = &rule.when {
            page.item(4, "when", &when.source)?;
        }
        page.item(4, "requires", &rule.require.source)?;
        if let Some(basis) = &rule.basis {
            page.item(4, "law:", basis)?;
        }
    }
    Ok(())
}

fn field_words(field: &serde_json::Value) -> String {
    let words = |values: &Vec<serde_json::Value>| {
        values
            .iter()
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .collect::<Vec<_>>()
    };
    match (field.get("enum").and_then(|values| values.as_array()), field.get("type")) {
        (Some(values), _) => words(values).join(" | "),
        (None, Some(serde_json::Value::String(kind))) => kind.clone(),
        (None, Some(kind)) => kind.to_string(),
        (None, None) => "anything".to_owned(),
    }
}

fn show_strand(definition: &Definition, strand: &Strand, page: &mut Page) -> Result<(), Failure> {
    page.line(&format!("{}  {}", strong(&strand.title), dim(&strand.name)))?;
    for (index, state) in strand.states.iter().enumerate() {
        let mark = if state.is_final { good(" ■") } else { String::new() };
        page.heading(&format!("{} ({}){mark}", state.title, state.name))?;
        let rows = strand.rows.iter().flat_map(|(event, rows)| rows.iter().map(move |row| (*event, row)));
        let leaving = rows.filter(|(_, row)| row.from.index() == index);
        let mut ways: Vec<String> = leaving
            .flat_map(|(event, row)| row.branches.iter().map(move |branch| (event, branch)))
            .map(|(event, branch)| {
                let to = branch.to.map_or("stays", |to| strand.states[to.index()].title.as_str());
                format!("{}{} → {to}", definition.event_type(event).name, matches_words(branch))
            })
            .collect();
        ways.sort();
        ways.iter().try_for_each(|way| page.item(2, "•", way))?;
    }
    Ok(())
}

/// What a branch asks of the event: `, plea guilty or not-guilty`.
fn matches_words(branch: &Branch) -> String {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let words = branch.matches.iter().map(|(name, values)| {
        format!(", {name} {}", values.iter().map(text).collect::<Vec<_>>().join(" or "))
    });
    words.collect()
}

fn check(name: &str, page: &mut Page) -> Result<(), Failure> {
    let files = definition::sources(name)?;
    let problems = match compile(&files) {
        Ok(definition) => lint::lint_files(&definition, &files),
        Err(problems) => problems,
    };
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let errors = count(Severity::Error);
    if page.is_json() {
        page.json(&serde_json::json!({
            "ok": errors == 0,
            "errors": errors,
            "warnings": count(Severity::Warning),
            "not_proved": count(Severity::NotProved),
            "problems": problems,
        }))?;
    } else {
        definition::tell_problems(&problems, page)?;
        let summary = format!(
            "{name}: {}, {}, {} not proved.",
            count_of(errors, "error", "errors"),
            count_of(count(Severity::Warning), "warning", "warnings"),
            count(Severity::NotProved)
        );
        page.line(&if errors == 0 { good(&summary) } else { bad(&summary) })?;
    }
    if errors == 0 { Ok(()) } else { Err(Failure::CheckFailed) }
}

fn draw(args: &DiagramArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let definition = find(&args.name, globals, page)?;
    let Some(strand) = definition.strand(&args.strand) else {
        let known: Vec<&str> = definition.strands.iter().map(|strand| strand.name.as_str()).collect();
        return Err(Failure::NotFound(
            Trouble::new(format!("{} has no strand {}", definition.pin(), args.strand))
                .help(format!("its strands: {}", known.join(", "))),
        ));
    };
    let drawing = match args.format {
        DiagramFormat::Svg => diagram::svg(&definition, strand, None),
        DiagramFormat::Dot => diagram::dot(&definition, strand),
        DiagramFormat::Mermaid => diagram::mermaid(&definition, strand),
    };
    if page.is_json() {
        return page.json(&serde_json::json!({ "strand": args.strand, "diagram": drawing }));
    }
    page.bytes(drawing.as_bytes())?;
    if drawing.ends_with('\n') { Ok(()) } else { page.bytes(b"\n") }
}

fn compare(args: &DiffArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let earlier = find(&args.earlier, globals, page)?;
    let later = find(&args.later, globals, page)?;
    if earlier.name != later.name {
        return Err(Failure::input(
            format!("{} and {} are different workflows", earlier.name, later.name),
            "give two versions of one workflow: NAME@1 and NAME@2, or two files or folders that name the same workflow",
        ));
    }
    let found = diff::compare(&earlier, &later);
    if page.is_json() {
        return page.json(&found);
    }
    workflow_diff::tell(&found, page)
}
