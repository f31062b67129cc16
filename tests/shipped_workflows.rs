//! A definition that ships is checked before anybody depends on it.

use std::sync::Arc;

use casebook_engine::definition::compile::compile;
use casebook_engine::definition::driven::{Coverage, Drivable, Driven};
use casebook_engine::definition::lint::lint_files;
use casebook_engine::definition::problem::Severity;
use casebook_engine::definition::rehearsal::run_driving;
use casebook_engine::definition::scenario::parse;
use casebook_engine::workflows::{SHIPPED, scenarios, shipped};

#[test]
fn every_scenario_of_every_definition_that_ships_holds_and_the_first_is_driven_whole() {
    for name in SHIPPED {
        let files = shipped(name).unwrap();
        let definition = Arc::new(compile(&files).unwrap());
        let mut driven = Driven::default();
        let mut played = 0;
        for file in scenarios(name).unwrap() {
            for scenario in parse(&file).unwrap() {
                let outcome = run_driving(&definition, &scenario, &mut driven);
                assert!(outcome.failures.is_empty(), "{name}: {outcome:#?}");
                played += 1;
            }
        }
        assert!(played > 70, "{name}: only {played} scenarios");
        let coverage = Coverage::of(&definition, &files, &driven);
        if name == SHIPPED[0] {
            assert!(coverage.reaches(100), "{name}: not every transition and rule is driven: {coverage:#?}");
        } else {
            let is_of_a_deadline = |what: Drivable| {
                matches!(what, Drivable::DeadlineStarted | Drivable::DeadlineMet | Drivable::DeadlineMissed)
            };
            let missing: Vec<_> =
                coverage.missing.iter().filter(|missing| is_of_a_deadline(missing.what)).collect();
            assert!(
                missing.is_empty(),
                "{name}: not every deadline is started, met and missed: {missing:#?}"
            );
        }
    }
}

/// One test for each definition, so that they run side by side.
#[track_caller]
fn check_lint(number: usize) {
    let name = SHIPPED[number];
    let files = shipped(name).unwrap();
    let definition = compile(&files).unwrap();
    let found = lint_files(&definition, &files);
    let wrong: Vec<_> = found.iter().filter(|problem| problem.severity != Severity::NotProved).collect();
    assert!(wrong.is_empty(), "{name}: {wrong:#?}");
}

#[test]
fn the_first_definition_that_ships_has_no_error_and_no_warning() {
    check_lint(0);
}

#[test]
fn the_second_definition_that_ships_has_no_error_and_no_warning() {
    check_lint(1);
}

#[test]
fn the_third_definition_that_ships_has_no_error_and_no_warning() {
    check_lint(2);
}

#[test]
fn the_fourth_definition_that_ships_has_no_error_and_no_warning() {
    check_lint(3);
    assert_eq!(SHIPPED.len(), 4, "each definition that ships has its test here");
}
