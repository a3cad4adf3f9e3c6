//! Local training: it learns, and the same inputs give the same bits.

use daa_compute::BurnBackend;
use daa_compute::backend::ComputeError;
use daa_compute::config::RunConfig;
use daa_compute::dataset::{Shard, Text};
use daa_compute::inner::InnerConfig;
use daa_compute::model::{ByteTransformer, ModelSpec};
use daa_core::seed::Seed;

use super::datasets::digits;

fn small_transformer() -> ModelSpec {
    ModelSpec::Bytes(ByteTransformer { layers: 1, width: 32, heads: 2, context: 16 })
}

fn sentence() -> Shard {
    Shard::Text(Text::new(b"in the beginning was the word. ".repeat(40)).unwrap())
}

#[test]
fn learns_the_digits() {
    let config = RunConfig::digits(1);
    let (train, held) = digits().hold_out_fifth(&config.root());
    let backend = BurnBackend::flex(config.model).unwrap();
    let train = backend.load_shard_blocking(&Shard::Digits(train)).unwrap();
    let held = backend.load_shard_blocking(&Shard::Digits(held)).unwrap();
    let inner = InnerConfig::new(400, 32, 3e-3);
    let trained =
        backend.train_blocking(&config.initial().unwrap(), &train, &inner, &Seed::from_u64(1)).unwrap();
    let score = backend.evaluate_blocking(&trained.parameters, &held).unwrap();
    assert!(score.accuracy > 0.96, "{score:?}");
    assert_eq!((score.predictions, trained.examples), (359, 12_800));
}

#[test]
fn learns_text_and_writes_it() {
    let model = small_transformer();
    let backend = BurnBackend::flex(model).unwrap();
    let shard = backend.load_shard_blocking(&sentence()).unwrap();
    let base = model.initial(&Seed::from_u64(2)).unwrap();
    let before = backend.evaluate_blocking(&base, &shard).unwrap();
    assert!((7.5..8.6).contains(&before.bits()), "a fresh model is about uniform: {}", before.bits());
    let inner = InnerConfig::new(250, 8, 5e-3);
    let trained = backend.train_blocking(&base, &shard, &inner, &Seed::from_u64(2)).unwrap().parameters;
    let after = backend.evaluate_blocking(&trained, &shard).unwrap();
    assert!(after.bits() < 0.8, "{} bits a byte", after.bits());
    let text = backend.generate_blocking(&trained, b"in the beginning", 15, &Seed::from_u64(3)).unwrap();
    assert_eq!(
        text,
        backend.generate_blocking(&trained, b"in the beginning", 15, &Seed::from_u64(3)).unwrap()
    );
    assert_eq!(text.len(), 15);
}

#[test]
fn the_same_inputs_give_the_same_bits_whatever_else_trains() {
    let config = RunConfig::digits(1);
    let inner = InnerConfig::new(15, 16, 3e-3);
    let model = small_transformer();
    let text_inner = InnerConfig { micro_batches: 3, ..InnerConfig::new(4, 8, 3e-3) };
    let run = || {
        let backend = BurnBackend::flex(config.model).unwrap();
        let shard = backend.load_shard_blocking(&Shard::Digits(digits())).unwrap();
        let base = config.initial().unwrap();
        let images =
            backend.train_blocking(&base, &shard, &inner, &Seed::from_u64(1)).unwrap().parameters.digest();
        let backend = BurnBackend::flex(model).unwrap();
        let shard = backend.load_shard_blocking(&sentence()).unwrap();
        let base = model.initial(&Seed::from_u64(1)).unwrap();
        let text = backend
            .train_blocking(&base, &shard, &text_inner, &Seed::from_u64(1))
            .unwrap()
            .parameters
            .digest();
        (images, text)
    };
    let alone = run();
    std::thread::scope(|scope| {
        let together: Vec<_> = (0..6).map(|_| scope.spawn(run)).collect();
        for one in together {
            assert_eq!(one.join().unwrap(), alone);
        }
    });
}

#[test]
fn refuses_what_does_not_fit_the_model() {
    let backend = BurnBackend::flex(small_transformer()).unwrap();
    assert_eq!(
        backend.load_shard_blocking(&Shard::Digits(digits())),
        Err(ComputeError::WrongTask { asked: "images" })
    );
    let short = Shard::Text(Text::new("too short").unwrap());
    assert_eq!(
        backend.load_shard_blocking(&short),
        Err(ComputeError::ShardTooSmall { found: 9, needed: 17 })
    );
    let digits = RunConfig::digits(1).initial().unwrap();
    let shard = backend.load_shard_blocking(&sentence()).unwrap();
    assert!(matches!(backend.evaluate_blocking(&digits, &shard), Err(ComputeError::WrongLayout { .. })));
}
