use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::layout::Layout;
use super::*;
use crate::workflow::definition::{Condition, Graph};

fn step(name: &str, after: &[usize]) -> Step {
    let step = Step::action(name.try_into().unwrap(), "k".try_into().unwrap(), json!({}));
    after.iter().fold(step, |step, at| step.with_after(format!("s{at}").as_str().try_into().unwrap()))
}

fn workflow(edges: &[Vec<usize>]) -> Workflow {
    let steps = edges.iter().enumerate().map(|(at, needs)| step(&format!("s{at}"), needs));
    steps.fold(Workflow::new("w".try_into().unwrap()), Workflow::with_step)
}

fn dag(size: usize) -> impl Strategy<Value = Vec<Vec<usize>>> {
    let rows: Vec<_> = (0..size).map(|at| proptest::collection::vec(0..4u8, at)).collect();
    rows.prop_map(|rows| {
        let needs = |row: &Vec<u8>| {
            row.iter().enumerate().filter(|(_, there)| **there == 0).map(|(at, _)| at).collect()
        };
        rows.iter().map(needs).collect()
    })
}

/// Every tag is closed, in order, and text has no character that would open one.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    for (at, part) in svg.split('<').enumerate() {
        if at == 0 {
            assert_eq!(part, "");
            continue;
        }
        let (tag, text) = part.split_once('>').expect("a tag that ends");
        assert!(
            !text.contains('>') && !text.replace("&amp;", "").replace("&#39;", "").contains("& "),
            "{text}"
        );
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name.to_owned())),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap().to_owned()),
        }
    }
    assert_eq!(open, Vec::<String>::new());
}

proptest! {
    #[test]
    fn no_line_runs_through_a_box(edges in dag(14)) {
        let graph = Graph::new(&workflow(&edges).steps);
        let layout = Layout::new(&graph, &[54.0; 14]);
        prop_assert_eq!(layout.left_out, 0);
        for layer in &layout.layers {
            for pair in layer.windows(2) {
                let (above, below) = (&layout.nodes[pair[0]], &layout.nodes[pair[1]]);
                let distance = below.y - above.y - (above.height + below.height) / 2.0;
                prop_assert!(distance > 13.9, "{}", distance);
            }
        }
        // In every layer between its ends, a line has a place of its own.
        for line in &layout.lines {
            let layers: Vec<usize> = line.iter().map(|&node| layout.nodes[node].layer).collect();
            prop_assert!(layers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
            prop_assert!(line[1..line.len() - 1].iter().all(|&bend| bend >= 14));
        }
        // What is drawn leads to the same order as what was said.
        let drawn: std::collections::BTreeSet<_> =
            layout.lines.iter().map(|line| (line[0], line[line.len() - 1])).collect();
        let mut reach = vec![std::collections::BTreeSet::new(); 14];
        for at in 0..14 {
            for before in 0..at {
                if drawn.contains(&(before, at)) {
                    let more: Vec<usize> = reach[before].iter().copied().collect();
                    reach[at].extend(more);
                    reach[at].insert(before);
                }
            }
            prop_assert!(edges[at].iter().all(|needed| reach[at].contains(needed)));
        }
        let svg = workflow(&edges).to_svg();
        assert_well_formed(&svg);
        prop_assert_eq!(svg, workflow(&edges).to_svg());
    }
}

#[test]
fn lines_that_need_not_cross_do_not() {
    // Two chains, written crosswise.
    let edges = [vec![], vec![], vec![], vec![2], vec![1], vec![0]];
    let layout = Layout::new(&Graph::new(&workflow(&edges).steps), &[54.0; 6]);
    for line in &layout.lines {
        assert!((layout.nodes[line[0]].y - layout.nodes[line[1]].y).abs() < 0.01, "a straight line");
    }
    // What follows from other lines is not drawn.
    let edges = [vec![], vec![0], vec![0, 1]];
    let layout = Layout::new(&Graph::new(&workflow(&edges).steps), &[54.0; 3]);
    assert_eq!(layout.lines, [[0, 1], [1, 2]]);
}

#[test]
fn mermaid_shows_kinds_notes_and_marks() {
    let ask = Step::approval("ask".try_into().unwrap(), json!(1), Duration::from_secs(3600))
        .with_when(Condition::Gt("${input.cents}".into(), json!(5).into()));
    let pay = step("pay", &[])
        .with_after("ask".try_into().unwrap())
        .with_undo("refund".try_into().unwrap(), json!({}))
        .with_failure_allowed();
    let workflow = Workflow::new("w".try_into().unwrap())
        .with_step(ask)
        .with_step(pay)
        .with_step(Step::sleep("rest".try_into().unwrap(), Duration::from_secs(90)))
        .with_step(Step::signal("go".try_into().unwrap(), "go".try_into().unwrap()))
        .with_step(Step::workflow("child".try_into().unwrap(), "other".try_into().unwrap(), "${rest}"));
    let mark = |name: &str, mark| (StepName::new(name).unwrap(), mark);
    let marks =
        [mark("ask", StepMark::Succeeded), mark("pay", StepMark::Skipped), mark("go", StepMark::Succeeded)];
    let diagram = marks
        .into_iter()
        .fold(Diagram::of(&workflow), |diagram, (step, mark)| diagram.with_state(step, mark));
    let expected = r#"flowchart TD
    s0{{"<b>ask</b><br/>approval within 1h<br/><i>when: input.cents #62; 5</i>"}}
    s1["<b>pay</b><br/>k<br/><i>undo: refund</i><br/><i>may fail</i>"]
    s2(["<b>rest</b><br/>sleep 1m 30s"])
    s3>"<b>go</b><br/>signal go"]
    s4[["<b>child</b><br/>workflow other"]]
    s0 --> s1
    s2 --> s4
    classDef succeeded fill:#f0fdf4,stroke:#16a34a,color:#0f172a
    class s0,s3 succeeded
    classDef skipped fill:#f8fafc,stroke:#94a3b8,color:#0f172a,stroke-dasharray:4 3
    class s1 skipped
"#;
    assert_eq!(diagram.to_mermaid(), expected);
    let svg = diagram.to_svg();
    assert_well_formed(&svg);
    assert!(svg.contains("<title>ask: approval within 1h; when input.cents &gt; 5; succeeded</title>"));
    assert_eq!(svg.matches("fill=\"#f0fdf4\"").count(), 2);
}

#[test]
fn hostile_text_stays_text() {
    let evil = "</text><script>alert('x')</script>\"]\n    click s0 href \"javascript:1\" %%{init}%% `&amp;` \u{202e}";
    let workflow = Workflow::new("w".try_into().unwrap()).with_about(evil).with_step(
        step("s", &[])
            .with_when(Condition::All(vec![Condition::Eq(evil.into(), json!({ evil: evil }).into())]))
            .with_each(json!([evil]), None),
    );
    let svg = workflow.to_svg();
    assert_well_formed(&svg);
    assert!(!svg.contains("<script") && !svg.contains('\u{202e}'));
    let long = Workflow::new("w".repeat(200).as_str().try_into().unwrap())
        .with_about("x".repeat(10_000))
        .with_step(step(&"n".repeat(200), &[]).with_each("e".repeat(10_000).as_str(), None));
    assert!(long.to_svg().len() < 2_500 && long.to_mermaid().len() < 300);
    assert!(long.to_svg().contains(&format!(">{}…<", "n".repeat(35))));
    let mermaid = workflow.to_mermaid();
    assert_eq!(mermaid.lines().count(), 2);
    let label = mermaid.lines().nth(1).unwrap().trim();
    let inner = label.strip_prefix("s0[\"").unwrap().strip_suffix("\"]").unwrap();
    let inner = ["<b>", "</b>", "<br/>", "<i>", "</i>"]
        .iter()
        .fold(inner.to_owned(), |text, tag| text.replace(tag, ""));
    assert!(!inner.contains(['"', '<', '>', '`', '&', '%', '\'', '(', '\u{202e}']), "{inner}");
}

#[test]
fn pictures_are_bounded_and_do_not_depend_on_the_check() {
    // Each waits for all before it, there is a cycle, and there are more steps than may be.
    let edges: Vec<Vec<usize>> =
        (0..1100).map(|at| if at == 0 { vec![3] } else { vec![at - 1, at / 2] }).collect();
    let svg = workflow(&edges).to_svg();
    assert_well_formed(&svg);
    assert!(svg.contains("(100 steps and"));
    assert!(svg.len() < 2_000_000, "{}", svg.len());
    assert!(workflow(&edges).to_mermaid().contains("and 100 more steps"));
    assert_well_formed(&workflow(&[]).to_svg());
    let dense: Vec<Vec<usize>> =
        (0..400).map(|at| if at < 200 { vec![] } else { (0..200).collect() }).collect();
    let svg = workflow(&dense).to_svg();
    assert!(svg.contains("0 steps and 35000 dependencies are not drawn"));
}
