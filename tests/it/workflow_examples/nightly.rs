//! Reports by the clock on the wall.

use crate::program::{example, text};

fn week(arguments: &[&str]) -> String {
    let output = example("nightly").args(arguments).output().expect("the example starts");
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn begun(said: &str) -> usize {
    said.lines().filter(|line| line.contains("report begins")).count()
}

#[test]
fn a_time_that_a_night_leaves_out_is_made_up_for_at_once_and_one_that_comes_twice_counts_once() {
    let spring = week(&[]);
    assert!(spring.contains("Sun 29 Mar  03:00 CEST") && !spring.contains("Sun 29 Mar  02:30"), "{spring}");
    let autumn = week(&["--from", "2026-10-23"]);
    assert!(
        autumn.contains("Sun 25 Oct  02:30 CEST") && !autumn.contains("Sun 25 Oct  02:30 CET "),
        "{autumn}"
    );
}

#[test]
fn what_was_missed_is_made_up_for_as_the_policy_says() {
    for (missed, reports) in [("none", 5), ("latest", 6), ("all", 7)] {
        let said = week(&["--missed", missed]);
        assert_eq!(begun(&said), reports, "{said}");
        assert!(said.contains(&format!("{reports} reports in 7 days")), "{said}");
    }
}

#[test]
fn bad_values_are_refused_with_code_two_and_what_is_right() {
    for (arguments, right) in [
        (["--cron", "61 * * * *"], "minute hour day month weekday"),
        (["--zone", "Mars"], "Europe/Berlin"),
        (["--missed", "some"], "latest"),
        (["--from", "someday"], "someday"),
    ] {
        let output = example("nightly").args(arguments).output().expect("the example starts");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(right), "{arguments:?}: {}", text(&output.stderr));
    }
}
