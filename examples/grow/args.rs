//! The command line.

use std::path::PathBuf;

use clap::Parser;
use daa::store::backends::{BackendUrl, BackendsConfig, ConfigError};

/// One agent program, embedded or on a cluster: only the configuration changes, and the output stays the same.
///
/// What the command line does not say, the environment does (DAA__STORE__URL, DAA__BUS__URL, …), and then the file.
#[derive(Clone, Debug, Parser)]
#[command(name = "grow", version)]
pub(crate) struct Args {
    /// A TOML file with the sections [store], [bus], [cache] and [artifacts]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// memory:, sqlite:FILE or postgres://… [default: sqlite:daa-grow/events.db in the folder for temporary files]
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// memory:, nats://… or amqp://… [default: memory:]
    #[arg(long, value_name = "URL")]
    bus: Option<String>,

    /// memory: or redis://… [default: memory:]
    #[arg(long, value_name = "URL")]
    cache: Option<String>,
}

impl Args {
    pub(crate) fn config(&self) -> Result<BackendsConfig, ConfigError> {
        let mut config = BackendsConfig::load(self.config.as_deref())?;
        let urls = [
            (&self.store, &mut config.store.url, &mut config.store.url_file),
            (&self.bus, &mut config.bus.url, &mut config.bus.url_file),
            (&self.cache, &mut config.cache.url, &mut config.cache.url_file),
        ];
        for (said, url, file) in urls {
            if let Some(said) = said {
                (*url, *file) = (Some(BackendUrl::new(said)), None);
            }
        }
        if config.store.url.is_none() && config.store.url_file.is_none() {
            let folder = std::env::temp_dir().join("daa-grow");
            // Where that fails, opening the store says why.
            let _ = std::fs::create_dir_all(&folder);
            config.store.url =
                Some(BackendUrl::new(format!("sqlite:{}", folder.join("events.db").display())));
        }
        Ok(config)
    }
}
