//! Limits over time, approval, and an instruction in a mail.

use crate::program::{example, text};

#[test]
fn limits_hold_over_a_restart_and_a_mail_pays_nobody() {
    let output = example("treasury_rules").output().expect("the example starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    let after = |heading: &str| {
        let at = lines
            .iter()
            .position(|line| line.starts_with(heading))
            .unwrap_or_else(|| panic!("{heading}: {said}"));
        lines[at + 1..].iter().take_while(|line| !line.is_empty()).copied().collect::<Vec<_>>()
    };
    let day = after("Day 1");
    let paid = |line: &str| line.ends_with(" paid");
    assert_eq!(day.iter().filter(|line| paid(line)).count(), 3, "{said}");
    assert!(
        day.iter().filter(|line| line.contains("51 USDC to initech")).all(|line| line.contains("DENIED")),
        "{said}"
    );
    assert!(paid(after("Day 2")[0]), "{said}");
    let large = after("A large payment");
    assert!(large.contains(&"✓ approved by carol") && large.contains(&"done"), "{said}");
    assert!(large.last().unwrap().contains("DENIED: no more than 3000 USDC in any 24 hours"), "{said}");
    let mail = after("A mail says");
    assert!(mail.iter().any(|line| line.ends_with("[from mail]")), "{said}");
    assert!(mail.iter().any(|line| line.contains("nobody pays because a stranger said so")), "{said}");
    assert_eq!(mail.last(), Some(&"NOTHING WAS PAID"), "{said}");
    assert_eq!(after("The same from").last(), Some(&"done"), "{said}");
    assert!(said.ends_with(" 0 violations\n"), "{said}");
}
