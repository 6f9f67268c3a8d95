package main

import "testing"

func TestFormat(t *testing.T) {
	for name, test := range map[string]struct {
		unit  string
		value float64
		want  string
	}{
		"a count":                             {"short", 3, "3"},
		"an increase that is extrapolated":    {"short", 1.003, "1"},
		"thousands":                           {"short", 12_345, "12.3 K"},
		"a rate":                              {"ops", 0.5, "0.5 ops/s"},
		"a rate of thousands":                 {"ops", 2500, "2.5k ops/s"},
		"no time":                             {"s", 0, "0 s"},
		"microseconds":                        {"s", 0.00025, "250 µs"},
		"milliseconds":                        {"s", 0.0123, "12.3 ms"},
		"seconds":                             {"s", 2.5, "2.5 s"},
		"bytes":                               {"bytes", 512, "512 B"},
		"mebibytes":                           {"bytes", 40 << 20, "40 MiB"},
		"more than the largest unit of bytes": {"bytes", 4096 << 40, "4100 TiB"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := format(test.unit, test.value); got != test.want {
				t.Errorf("%v as %q is %q, want %q", test.value, test.unit, got, test.want)
			}
		})
	}
}

func TestAnAxisHasRoundSteps(t *testing.T) {
	for name, test := range map[string]struct {
		unit          string
		highest, want float64
	}{
		"one":                        {"short", 1, 0.25},
		"a fraction":                 {"ops", 0.037, 0.01},
		"a step of two":              {"ops", 7, 2},
		"a value just below a power": {"short", 39, 10},
		"mebibytes":                  {"bytes", 40 << 20, 10 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			if got := stepOf(test.unit, test.highest); got != test.want {
				t.Errorf("the step up to %v %s is %v, want %v", test.highest, test.unit, got, test.want)
			}
		})
	}
}

func TestTheColorOfAValue(t *testing.T) {
	one := 1.0
	steps := []threshold{{Color: "green"}, {Color: "red", Value: &one}}
	for name, test := range map[string]struct {
		value float64
		want  rgb
	}{
		"below a threshold": {0, colorNamed("green")},
		"at a threshold":    {1, colorNamed("red")},
		"above a threshold": {7, colorNamed("red")},
	} {
		t.Run(name, func(t *testing.T) {
			if got := colorOf(steps, test.value); got != test.want {
				t.Errorf("%v has the color %06x, want %06x", test.value, uint32(got), uint32(test.want))
			}
		})
	}
}
