//! Reading policies and schemas: what is wrong is told, each with its place and what would be right.

use daa_core::fault::{Fault, Reaction};
use daa_rules::Diagnostic;
use daa_rules::authorisation::{AuthorisationLimits, Policies, PoliciesError, SHIPPED_SCHEMA, Text};

use super::world::{POLICIES, SCHEMA};

/// Line, column and message of each problem.
fn problems(schema: &str, policies: &str) -> Vec<(usize, usize, String)> {
    let error = Policies::read(schema, policies).unwrap_err();
    assert_eq!(error.fault(), Fault::Caller);
    let told = |problem: &Diagnostic| (problem.at.line, problem.at.column, problem.problem.to_string());
    error.problems().iter().map(told).collect()
}

fn problem(schema: &str, policies: &str) -> (usize, usize, String) {
    let problems = problems(schema, policies);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.into_iter().next().unwrap()
}

#[test]
fn the_bank_is_read_and_the_same_text_is_the_same_policies() {
    let bank = Policies::read(SCHEMA, POLICIES).unwrap();
    assert_eq!(bank.iter().count(), 7);
    let first = bank.iter().next().unwrap();
    assert_eq!((first.id.as_str(), first.permits, first.at.line), ("cedar/treasurers-pay", true, 2));
    assert!(bank.text(first).starts_with("@id(\"treasurers-pay\")") && bank.text(first).ends_with("};"));
    assert!(bank.warnings().is_empty(), "{:?}", bank.warnings());
    assert_eq!(bank.digest(), Policies::read(SCHEMA, POLICIES).unwrap().digest());
    let others = [
        Policies::read(SCHEMA, "").unwrap().digest(),
        Policies::read(SCHEMA, &POLICIES.replace("1000", "1001")).unwrap().digest(),
        Policies::read(&SCHEMA.replace("hour?: Long", "hour?: Long, day?: Long"), POLICIES).unwrap().digest(),
    ];
    assert!(!others.contains(&bank.digest()));
}

#[test]
fn what_is_wrong_with_a_policy_is_told_with_its_place_and_what_would_be_right() {
    let (line, column, told) =
        problem(SCHEMA, "permit (principal,\n  action == Bank::Action::\"payment.sent\", resource);");
    assert_eq!((line, column), (2, 13));
    assert!(told.contains("payment.sent") && told.contains("payment.send"), "{told}");
    let (line, column, told) = problem(SCHEMA, "\n\npermit (principal is DAA::Persom, action, resource);");
    assert_eq!((line, column), (3, 22));
    assert!(told.contains("DAA::Persom") && told.contains("`DAA::Person`"), "{told}");
    let wrong_attribute = "permit (principal, action == Bank::Action::\"payment.send\", resource)\nwhen { resource.ownr == principal };";
    let found = problems(SCHEMA, wrong_attribute);
    assert!(found.iter().all(|(line, _, told)| *line == 2 && told.contains("ownr")), "{found:?}");
    let optional = "permit (principal, action == Bank::Action::\"payment.send\", resource)\nwhen { resource.limit > 1 };";
    let found = problems(SCHEMA, optional);
    assert!(found[0].2.contains("has limit"), "{found:?}");
    let types = "permit (principal, action == Bank::Action::\"payment.send\", resource)\nwhen { context.params.amount == \"1\" };";
    assert!(problems(SCHEMA, types)[0].0 == 2);
    let (line, _, told) = problem("", "permit (principal, action, resource)\nwhen { true }");
    assert!(line == 2 && told.contains("unexpected end of input"), "{line} {told}");
    let (_, _, told) = problem("", "permit (principal, action, resorce);");
    assert!(told.contains("resorce"), "{told}");
}

#[test]
fn several_problems_are_told_at_once_in_their_order() {
    let policies = "permit (principal in DAA::Rolle::\"a\", action, resource);\npermit (principal in DAA::Teem::\"a\", action, resource);";
    let found = problems("", policies);
    assert_eq!(found.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn policies_need_names_of_their_own_and_no_slots() {
    let twice =
        "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);";
    assert_eq!(problem("", twice), (2, 1, "policy \"a\" exists already, at line 1, column 1".to_owned()));
    let (line, column, told) = problem("", "\n @id(\"a b\") permit (principal, action, resource);");
    assert_eq!((line, column), (2, 2));
    assert!(told.starts_with("invalid policy id: character ' '"), "{told}");
    let (line, _, told) = problem(
        "",
        "permit (principal, action, resource);\npermit (principal == ?principal, action, resource);",
    );
    assert_eq!((line, told.contains("is a template")), (2, true), "{told}");
}

#[test]
fn what_is_wrong_with_a_schema_is_told_too() {
    let wrong = |schema: &str| match Policies::read(schema, "") {
        Err(PoliciesError::Invalid { text: Text::Schema, problems }) => {
            (problems[0].at.line, problems[0].problem.to_string())
        }
        other => panic!("{other:?}"),
    };
    let (line, told) = wrong("namespace A {\n  entity B in [C];\n}");
    assert!(told.contains('C'), "{line} {told}");
    let (line, told) = wrong("entity A\nentity B;");
    assert!(line == 2 && told.contains("unexpected token"), "{line} {told}");
    let applies = |what: &str| {
        format!(
            "namespace A {{\n entity R;\n {what} appliesTo {{ principal: [DAA::Person], resource: [R] }};\n}}"
        )
    };
    let (line, told) = wrong(&applies("action \"r.do\""));
    assert_eq!((line, told.contains("@resource(\"NAME\")")), (3, true), "{told}");
    let (line, told) = wrong(&applies("@resource(\"r\") action \"r do\""));
    assert_eq!((line, told.contains("can never be asked for")), (3, true), "{told}");
    let (line, told) = wrong(&applies("@resource(\"r\") action \"swarm.join\""));
    assert_eq!((line, told.contains("in two namespaces")), (3, true), "{told}");
}

#[test]
fn what_hardly_means_what_it_says_is_warned_of() {
    let policies = "permit (principal is DAA::Person, action == DAA::Action::\"swarm.join\", resource);";
    let warned = Policies::read("", policies).unwrap();
    let told: Vec<_> = warned.warnings().iter().map(ToString::to_string).collect();
    assert!(told.iter().all(|told| told.starts_with("line 1, column 1: warning: ")), "{told:?}");
    assert!(told.iter().any(|told| told.contains("policy is impossible")), "{told:?}");
}

#[test]
fn the_shipped_schema_is_the_file_that_programs_may_read() {
    assert!(SHIPPED_SCHEMA.contains("namespace DAA"));
    assert!(matches!(
        Policies::read(&" ".repeat(AuthorisationLimits::SCHEMA + 1), ""),
        Err(PoliciesError::TooLarge { text: Text::Schema, .. })
    ));
}

/// What grows while it is read, or has no size to tell: no more is taken of it than may be read.
#[cfg(unix)]
#[test]
fn no_more_is_read_of_a_file_than_is_allowed() {
    use std::io::Write as _;

    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("policies.cedar");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = {
        let pipe = pipe.clone();
        std::thread::spawn(move || {
            let mut file = std::fs::OpenOptions::new().write(true).open(pipe).unwrap();
            file.write_all(&vec![b' '; 3 * AuthorisationLimits::SOURCE]).map_err(|error| error.kind())
        })
    };
    let error = Policies::from_files(&pipe, None).unwrap_err();
    assert!(matches!(error, PoliciesError::TooLarge { text: Text::Policies, .. }), "{error}");
    assert_eq!(writer.join().unwrap(), Err(std::io::ErrorKind::BrokenPipe), "the rest was not taken");
}
