//! `corpus expand TARGET FOLDER` writes the inputs that are kept, and the seeds, as files; `corpus keep TARGET
//! FOLDER` puts what stands in the folder in the place of what is kept.

use std::{fs, path::Path};

use hikyaku_fuzz::{corpus, seeds};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [what, target, folder] = words[..] else { anyhow::bail!("corpus expand|keep TARGET FOLDER") };
    let (kept, folder) = (corpus::file(target), Path::new(folder));
    match what {
        "expand" => {
            fs::create_dir_all(folder)?;
            let mut inputs = seeds::of(target)?;
            if kept.exists() {
                inputs.extend(corpus::read(&kept)?);
            }
            for (at, input) in inputs.iter().enumerate() {
                fs::write(folder.join(format!("kept-{at:04}")), input)?;
            }
        }
        "keep" => {
            let files = fs::read_dir(folder)?.map(|entry| fs::read(entry?.path()));
            let inputs = files.collect::<Result<Vec<_>, _>>()?;
            fs::write(kept, corpus::text(&inputs))?;
        }
        other => anyhow::bail!("{other} is neither expand nor keep"),
    }
    Ok(())
}
