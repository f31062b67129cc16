//! The definitions of other bodies that ship: one worked case of each, on the disk, from the first line to the last.

use std::path::PathBuf;
use std::sync::Arc;

use casebook_engine::definition::compile::compile;
use casebook_engine::engine::Engine;
use casebook_engine::exchange::import::{ImportOptions, import_case};
use casebook_engine::exchange::jsonl::read_file;
use casebook_engine::store::{SledOptions, SledStore};
use casebook_engine::verify::verify;
use casebook_engine::workflows::shipped;

use crate::desk::{Desk, rules};

/// A worked case, stopped half-way for two moves that the procedure does not allow, and then brought to its end.
struct Worked {
    workflow: &'static str,
    /// So many lines are imported before the moves are tried.
    lines_first: usize,
    /// Each with the rule that refuses it.
    illegal: [(&'static str, &'static str); 2],
    /// Strand, whose it is, state, at the end.
    ends: &'static [(&'static str, &'static str, &'static str)],
}

fn example(workflow: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples").join(workflow);
    std::fs::read(folder.join("case.jsonl")).unwrap()
}

/// Imports a file in which every line has to fit.
#[track_caller]
fn import(desk: &Desk, file: &[u8]) {
    let read = read_file(file).unwrap();
    assert_eq!((read.problems.len(), read.cases.len()), (0, 1), "{:?}", read.problems);
    let imported = desk.wait(import_case(&desk.engine, &read.cases[0], ImportOptions::default()));
    imported.unwrap_or_else(|error| panic!("{error:#?}"));
}

#[track_caller]
fn check(worked: &Worked) {
    let whole = example(worked.workflow);
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let reference = read_file(&whole[..]).unwrap().cases[0].case.clone();
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).unwrap();
    let definition = compile(&shipped(worked.workflow).unwrap()).unwrap();
    let desk = Desk::of_open_case(Engine::open(Arc::new(store), vec![definition]).unwrap(), &reference);

    import(&desk, &lines[..worked.lines_first].concat());
    for (line, rule) in worked.illegal {
        let refused = desk.refused(line);
        assert!(rules(&refused).contains(&rule), "{line}: {:?}", rules(&refused));
    }
    import(&desk, &whole);

    assert_eq!(desk.case_state().version().0, u64::try_from(lines.len()).unwrap(), "a line, an event");
    for (strand, entity, state) in worked.ends {
        assert_eq!(desk.state(strand, entity), *state, "{strand} of {entity}");
    }
    let status = desk.status();
    assert!(status.consistent && status.breaches.is_empty() && status.overrides.is_empty());
    let verified = verify(&desk.engine, &|_| {}).unwrap();
    assert!(verified.verified, "{verified:#?}");
}

#[test]
fn a_practitioner_is_suspended_reviewed_and_free_again() {
    check(&Worked {
        workflow: "fitness-to-practise",
        lines_first: 28,
        illegal: [
            (
                "examiner-decided practitioner=P1 examiner=lay decision=close by=lay-1:examiner decided=case-examiner",
                "engine:no-transition",
            ),
            (
                "case-closed reason=concluded by=registrar-1:registrar decided=regulator",
                "no-closing-under-a-sanction",
            ),
        ],
        ends: &[
            ("case", "", "closed"),
            ("investigation", "P1", "referred"),
            ("hearing", "P1", "sanctioned"),
            ("allegation", "A1", "admitted"),
            ("allegation", "A2", "not-proved"),
            ("interim-order", "IO1", "ended"),
            ("sanction", "S1", "revoked"),
            ("registration", "P1", "unrestricted"),
        ],
    });
}

#[test]
fn a_report_leads_to_a_dismissal_and_the_reporter_is_protected() {
    check(&Worked {
        workflow: "whistleblowing-inquiry",
        lines_first: 5,
        illegal: [
            (
                "inquiry-started led_by=internal by=investigator-1:investigator decided=compliance-board",
                "no-inquiry-by-those-concerned",
            ),
            (
                "case-closed reason=concluded by=board-1:decision-maker decided=compliance-board",
                "an-inquiry-ends-in-a-report",
            ),
        ],
        ends: &[
            ("case", "", "closed"),
            ("outcome", "", "substantiated"),
            ("authority", "", "answered"),
            ("report", "R1", "answered"),
            ("identity", "R1", "confidential"),
            ("identity", "R2", "anonymous"),
            ("privilege", "X2", "privileged"),
            ("disciplinary", "PC1", "action-taken"),
            ("retaliation", "RT1", "upheld"),
            ("measure", "M2", "implemented"),
        ],
    });
}

#[test]
fn primacy_goes_to_the_regulator_and_back_and_an_organisation_is_fined() {
    check(&Worked {
        workflow: "workplace-safety",
        lines_first: 38,
        illegal: [
            (
                "primacy-handed-over to=regulator on=2021-06 by=liaison-1:police-liaison decided=police",
                "handing-to-the-regulator-needs-homicide-discounted",
            ),
            (
                "sentence-passed duty-holder=ORG1 charge=C1 court=crown-court disposal=immediate-custody by=legal-1:legal decided=court",
                "no-custody-for-an-organisation",
            ),
        ],
        ends: &[
            ("case", "", "closed"),
            ("primacy", "", "regulator"),
            ("homicide", "", "discounted"),
            ("casualty", "W1", "dead"),
            ("inquest", "W1", "concluded"),
            ("notice", "N1", "complied"),
            ("notice", "N2", "complied"),
            ("costs", "ORG1", "paid"),
            ("charge", "C1", "sentenced"),
            ("position", "ORG1", "convicted"),
            ("position", "DIR1", "not-charged"),
        ],
    });
}
