mod deploy_docs;
mod layering;
pub mod metric_catalogue;
mod proto_style;
mod requirements;
mod rfc;
mod span_catalogue;
mod top_level;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// What stands in this file behind the line `begin`; `UPDATE_GOLDEN=1` writes it.
fn is_made_by_the_code(file: &str, begin: &str, made: &str) {
    const END: &str = "<!-- end -->\n";
    let path = root().join(file);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(begin).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{before}{begin}{made}{END}{after}")).unwrap();
        return;
    }
    assert!(shown == made, "{file} is not what the code makes: UPDATE_GOLDEN=1");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_owned).unwrap_or_default()
}
