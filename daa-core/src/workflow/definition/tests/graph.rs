use proptest::prelude::*;
use serde_json::json;

use super::super::{Cause, Step, Workflow};
use crate::id::StepName;

fn name(at: usize) -> StepName {
    format!("s{at}").as_str().try_into().unwrap()
}

/// A workflow whose step `at` depends on `edges[at]`; odd ones by a reference, even ones by `after`.
fn workflow(edges: &[Vec<usize>]) -> Workflow {
    let step = |(at, needs): (usize, &Vec<usize>)| {
        let (by_reference, by_name): (Vec<usize>, Vec<usize>) =
            needs.iter().partition(|&&needed| needed % 2 == 1);
        let with: Vec<_> = by_reference.iter().map(|needed| json!(format!("${{s{needed}}}"))).collect();
        let step = Step::action(name(at), "k".try_into().unwrap(), json!(with));
        by_name.iter().fold(step, |step, &needed| step.with_after(name(needed)))
    };
    let whole = Workflow::new("w".try_into().unwrap());
    edges.iter().enumerate().map(step).fold(whole, Workflow::with_step)
}

/// Every step depends on some of those before it, after a shuffle.
fn dag() -> impl Strategy<Value = (Vec<Vec<usize>>, Vec<usize>)> {
    let rows: Vec<_> = (0..12).map(|at| proptest::collection::vec(any::<bool>(), at)).collect();
    let order = Just((0..12).collect::<Vec<usize>>()).prop_shuffle();
    (rows, order).prop_map(|(rows, order)| {
        let mut edges = vec![Vec::new(); 12];
        for (at, row) in rows.iter().enumerate() {
            let needs = row.iter().enumerate().filter(|(_, there)| **there);
            edges[order[at]] = needs.map(|(needed, _)| order[needed]).collect();
        }
        (edges, order)
    })
}

proptest! {
    #[test]
    fn graphs_without_cycles_are_accepted_and_linked((edges, order) in dag()) {
        let compiled = workflow(&edges).compile().unwrap();
        // Running by the links settles every step, in an order in which nothing comes before what it needs.
        let mut open: Vec<u16> = compiled.steps.iter().map(|step| step.waits_for).collect();
        let mut ready: Vec<usize> = (0..12).filter(|&at| open[at] == 0).collect();
        let mut settled = Vec::new();
        while let Some(at) = ready.pop() {
            prop_assert!(edges[at].iter().all(|needed| settled.contains(needed)));
            settled.push(at);
            for next in &compiled.steps[at].then {
                open[next.get()] -= 1;
                if open[next.get()] == 0 {
                    ready.push(next.get());
                }
            }
        }
        prop_assert_eq!(settled.len(), order.len());
    }

    #[test]
    fn an_edge_back_is_reported_as_a_cycle((edges, order) in dag(), at in 0..11usize) {
        let mut edges = edges;
        let (early, late) = (order[at], order[11]);
        edges[late].push(early);
        edges[early].push(late);
        let errors = workflow(&edges).check().unwrap_err();
        let cycles: Vec<_> = errors.problems().iter().map(|problem| match &problem.cause {
            Cause::Cycle { steps } => steps.clone(),
            other => panic!("only cycles, not {other}"),
        }).collect();
        prop_assert!(!cycles.is_empty());
        for cycle in cycles {
            let numbers: Vec<usize> = cycle.iter().map(|name| name.as_str()[1..].parse().unwrap()).collect();
            for (step, next) in numbers.iter().zip(numbers.iter().cycle().skip(1)) {
                prop_assert!(edges[*step].contains(next), "{} does not wait for {}", step, next);
            }
        }
    }
}

#[test]
fn a_cycle_is_named_by_its_steps() {
    let errors = workflow(&[vec![1], vec![2], vec![0], vec![4], vec![3]]).check().unwrap_err();
    let expected = "steps.s0: steps wait for each other: s0 -> s1 -> s2 -> s0\n\
                    steps.s3: steps wait for each other: s3 -> s4 -> s3";
    assert_eq!(errors.to_string(), expected);

    // Nothing else is said of it: what an undo may refer to depends on the order that there is not.
    let mut workflow = workflow(&[vec![1], vec![0], vec![]]);
    workflow.steps[0].undo = super::super::Undo::Action {
        kind: "u".try_into().unwrap(),
        with: json!("${s1} ${s0}").into(),
        max_cost: None,
        retry: super::super::Retry::forever(),
    };
    assert_eq!(workflow.check().unwrap_err().problems().len(), 1);
}
