//! The side of zen-engine: does what it is told on the standard input, and answers how many seconds it took.
//!
//! `zen-peer` says which engine it is and what its tables decide. Then `table N`, `8k N` and `8k-uncompiled N` perform N
//! decisions, as the benchmarks of zen-engine do: a decision that is held in memory, of the input `{"input": 15}`, without
//! a trace.

use std::hint::black_box;
use std::io::BufRead as _;
use std::time::Instant;

use serde_json::{Value, json};
use zen_engine::model::GraphContent;
use zen_engine::{Decision, ENGINE_VERSION, Variable};

/// As in the measured program beside it.
#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Identical rows of the large table, before the one that always matches.
const ROWS: usize = 8_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let compiled = |graph: Value| {
        let mut decision = decision(graph);
        decision.compile();
        decision
    };
    let tables = [
        ("table", compiled(two_rows())),
        ("8k", compiled(many_rows())),
        ("8k-uncompiled", decision(many_rows())),
    ];
    let input = Variable::from(json!({ "input": 15 }));
    let decide = |decision: &Decision| {
        runtime.block_on(decision.evaluate(input.clone())).map(|it| it.result).expect("a decision")
    };
    let decided: Vec<_> = tables.iter().map(|(_, table)| decide(table).to_value().to_string()).collect();
    println!("zen-engine {ENGINE_VERSION} {}", decided.join(" "));
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let (name, count) = line.split_once(' ').expect("a table and a number");
        let count: usize = count.parse().expect("a number");
        let (_, table) = tables.iter().find(|(known, _)| *known == name).expect("a table");
        let began = Instant::now();
        for _ in 0..count {
            black_box(decide(table));
        }
        println!("{}", began.elapsed().as_secs_f64());
    }
}

fn decision(graph: Value) -> Decision {
    let content: GraphContent = serde_json::from_value(graph).expect("a graph");
    Decision::from(content)
}

/// What `test-data/table.json` of zen-engine is: 10 for more than 10, or else 0.
fn two_rows() -> Value {
    let rules = json!([
        { "_id": "r0", "in": "> 10", "out": "10" },
        { "_id": "r1", "in": "", "out": "0" },
    ]);
    graph(json!([column("in", "input")]), json!([column("out", "output")]), rules)
}

/// What `test-data/8k.json` of zen-engine is: the same row again and again, which asks for a customer that the input does not
/// have, and one at the end that always matches.
fn many_rows() -> Value {
    let inputs = json!([
        column("country", "customer.country"),
        column("spend", "customer.totalSpend"),
        column("email", "customer.email"),
        column("category", "product.category"),
        column("currency", "product.currency"),
        column("price", "product.price"),
    ]);
    let outputs = json!([column("shipping", "shipping.price"), column("in", "shipping.currency")]);
    let row = |n: usize| {
        json!({
            "_id": format!("r{n}"), "country": "'GB'", "spend": "< 100", "email": "endsWith($, '@gmail.com')",
            "category": "", "currency": "'GBP'", "price": "< 100", "shipping": "5", "in": "product.currency",
        })
    };
    let mut rules: Vec<Value> = (0..ROWS).map(row).collect();
    rules.push(json!({
        "_id": "last", "country": "", "spend": "", "email": "", "category": "", "currency": "", "price": "",
        "shipping": "10", "in": "\"USD\"",
    }));
    graph(inputs, outputs, Value::from(rules))
}

fn column(id: &str, field: &str) -> Value {
    json!({ "id": id, "name": id, "type": "expression", "field": field })
}

fn graph(inputs: Value, outputs: Value, rules: Value) -> Value {
    let table = json!({ "hitPolicy": "first", "inputs": inputs, "outputs": outputs, "rules": rules });
    json!({
        "nodes": [
            { "id": "in", "type": "inputNode", "name": "Request" },
            { "id": "table", "type": "decisionTableNode", "name": "Table", "content": table },
            { "id": "out", "type": "outputNode", "name": "Response" },
        ],
        "edges": [
            { "id": "e1", "type": "edge", "sourceId": "in", "targetId": "table" },
            { "id": "e2", "type": "edge", "sourceId": "table", "targetId": "out" },
        ],
    })
}
