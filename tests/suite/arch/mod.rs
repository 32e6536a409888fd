mod deploy_docs;
mod layering;
pub mod metric_catalogue;
mod proto_style;
mod requirements;
mod rfc;
mod span_catalogue;
mod top_level;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_owned).unwrap_or_default()
}
