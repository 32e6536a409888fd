use super::*;

fn parse(text: &str) -> Result<Callers, Vec<String>> {
    let problems = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
    Callers::parse(Path::new("callers"), text.as_bytes()).map_err(problems)
}

fn hash(token: &str) -> String {
    TokenHash::of(token).to_string()
}

#[test]
fn callers_are_found_by_what_they_show() {
    let text = format!(
        "; who may call\r\n\n  ann  operator\t{}\nann operator {}\nbob viewer {}\r\n\
         ingress relay dns:Ingress.test\ningress relay uri:spiffe://test/ingress\n",
        hash("one"),
        hash("two"),
        hash("three")
    );
    let callers = parse(&text).unwrap();
    let shown = |caller: Option<&Caller>| caller.map(|caller| format!("{} {}", caller.name, caller.role));
    assert_eq!(shown(callers.by_token("one")).unwrap(), "ann operator");
    assert_eq!(shown(callers.by_token("two")).unwrap(), "ann operator");
    assert_eq!(shown(callers.by_token("three")).unwrap(), "bob viewer");
    assert_eq!(shown(callers.by_token("four")), None);
    assert_eq!(shown(callers.by_token(&hash("one"))), None, "the hash is no token");
    let names = ["cn:ann", "dns:ingress.test"].map(|name| name.parse().unwrap());
    assert_eq!(shown(callers.by_certificate(&names)).unwrap(), "ingress relay");
    assert_eq!(shown(callers.by_certificate(&names[..1])), None);
    assert!(parse("; nobody\n").unwrap().is_empty());
}

#[test]
fn every_problem_is_told_with_its_line() {
    let hash = hash("one");
    let text = format!(
        "ann operator\nann root {hash}\na/b viewer {hash}\nbob viewer secret\nbob viewer {hash}\n\
         eve viewer {hash}\nbob operator dns:a.test\ncon viewer dns:a.test\ndan viewer dns:A.test\n"
    );
    let problems = parse(&text).unwrap_err();
    let begin = [
        "callers:1: error E-CA-FIELDS: ",
        "callers:2: error E-CA-ROLE: \"root\" is not a role",
        "callers:3: error E-CA-NAME: ",
        "callers:4: error E-CA-CREDENTIAL: ",
        "callers:6: error E-CA-TWICE: bob has it",
        "callers:7: error E-CA-ROLE: bob has the role viewer in line 4",
        "callers:9: error E-CA-TWICE: con has it",
    ];
    assert_eq!(problems.len(), begin.len(), "{problems:#?}");
    for (problem, begin) in problems.iter().zip(begin) {
        assert!(problem.starts_with(begin), "{problem:?} does not begin with {begin:?}");
    }
    assert!(!problems.concat().contains("secret"), "what may be a token is not repeated");
    let encoding = Callers::parse(Path::new("f"), b"; \xff").unwrap_err();
    assert_eq!(encoding[0].to_string(), "f:1: error E-CA-ENCODING: the line is not UTF-8");
}
