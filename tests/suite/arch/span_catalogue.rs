//! services/TRACES.md shows the spans that the code declares: `UPDATE_GOLDEN=1` writes its table.

use hikyaku_spans::declared::ALL;

const BEGIN: &str = "<!-- made by the code: UPDATE_GOLDEN=1 cargo test -p hikyaku-suite span_catalogue -->\n";

fn table() -> String {
    let mut table = "| span | kind | of | stands | attributes |\n|---|---|---|---|---|\n".to_owned();
    for span in ALL {
        let attributes: Vec<String> = span.attributes.iter().map(|name| format!("`{name}`")).collect();
        let kind = format!("{:?}", span.kind).to_lowercase();
        table += &format!(
            "| `{}` | {kind} | {} | {} | {} |\n",
            span.name,
            span.roles,
            span.place,
            attributes.join(", ")
        );
    }
    table += "\n";
    for span in ALL {
        let about = span.about.split_whitespace().collect::<Vec<_>>().join(" ");
        let kind = format!("{:?}", span.kind).to_lowercase();
        table += &format!("- `{}` ({kind}): {about}\n", span.name);
    }
    table
}

#[test]
fn the_documentation_shows_every_span() {
    super::is_made_by_the_code("services/TRACES.md", BEGIN, &table());
}
