use super::*;

fn chart(shape: Shape) -> Chart {
    Chart {
        title: String::new(),
        caption: String::new(),
        shape,
        rows: Vec::new(),
    }
}

#[test]
fn bars_are_labelled_with_their_figures() {
    for log in [false, true] {
        let svg = draw(&chart(Shape::Bars {
            categories: vec!["first".into(), "second".into()],
            series: vec![
                ("a".into(), vec![Some(1234.0), None]),
                ("b".into(), vec![Some(2.5), Some(7.0)]),
            ],
            unit: "ms",
            log,
        }))
        .unwrap();
        for text in ["first", "second", "1,234", "2.5", "ms"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}

#[test]
fn a_longer_bar_is_a_larger_figure() {
    let svg = draw(&chart(Shape::Bars {
        categories: vec!["x".into()],
        series: vec![("a".into(), vec![Some(10.0)]), ("b".into(), vec![Some(5.0)])],
        unit: "",
        log: false,
    }))
    .unwrap();
    let widths: Vec<f64> = svg
        .split("<rect ")
        .skip(4) // the background and the legend
        .filter_map(|rect| rect.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
        .collect();
    assert!((widths[0] / widths[1] - 2.0).abs() < 0.05, "{widths:?}");
}

#[test]
fn nothing_but_zeros_can_be_drawn() {
    draw(&chart(Shape::Heat {
        columns: vec!["0 %".into()],
        lines: vec!["0 ms".into()],
        figures: vec![vec![Some(0.0)]],
        axes: ("loss", "delay"),
        unit: "ms",
    }))
    .unwrap();
    draw(&chart(Shape::Bars {
        categories: vec!["x".into()],
        series: vec![("a".into(), vec![Some(0.0)])],
        unit: "",
        log: true,
    }))
    .unwrap();
    draw(&chart(Shape::Lines {
        series: vec![("a".into(), vec![(1000.0, 0.0)])],
        x: "x",
        y: "y",
    }))
    .unwrap();
}

#[test]
fn names_that_are_too_long_are_cut_off() {
    let name = "x".repeat(LONGEST + 1);
    assert_eq!(short(&name).chars().count(), LONGEST);
    assert!(short(&name).ends_with('…'));
    assert_eq!(short("ML_KEM_768"), "ML_KEM_768");
}
