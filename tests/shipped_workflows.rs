//! A definition that ships is checked before anybody depends on it.

use std::sync::Arc;

use casebook_engine::definition::compile::compile;
use casebook_engine::definition::lint::lint_files;
use casebook_engine::definition::problem::Severity;
use casebook_engine::definition::scenario::{parse, run};
use casebook_engine::workflows::{SHIPPED, scenarios, shipped};

#[test]
fn every_scenario_of_every_definition_that_ships_holds() {
    for name in SHIPPED {
        let definition = Arc::new(compile(&shipped(name).unwrap()).unwrap());
        let mut played = 0;
        for file in scenarios(name).unwrap() {
            for scenario in parse(&file).unwrap() {
                let outcome = run(&definition, &scenario);
                assert!(outcome.failures.is_empty(), "{name}: {outcome:#?}");
                played += 1;
            }
        }
        assert!(played > 100, "{name}: only {played} scenarios");
    }
}

#[test]
fn no_definition_that_ships_has_an_error_or_a_warning() {
    for name in SHIPPED {
        let files = shipped(name).unwrap();
        let definition = compile(&files).unwrap();
        let found = lint_files(&definition, &files);
        let wrong: Vec<_> = found.iter().filter(|problem| problem.severity != Severity::NotProved).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}
