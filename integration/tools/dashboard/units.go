package main

import (
	"math"
	"strconv"
)

// format writes a value in one of Grafana's units.
func format(unit string, value float64) string {
	switch unit {
	case "s":
		return seconds(value)
	case "ops":
		return scaled(value, 1000, []string{"", "k", "M"}) + " ops/s"
	case "bytes":
		return scaled(value, 1024, []string{" B", " KiB", " MiB", " GiB", " TiB"})
	default:
		return scaled(value, 1000, []string{"", " K", " Mil", " Bil"})
	}
}

func seconds(value float64) string {
	switch {
	case value == 0:
		return "0 s"
	case math.Abs(value) < 1e-3:
		return short(value*1e6) + " µs"
	case math.Abs(value) < 1:
		return short(value*1e3) + " ms"
	default:
		return short(value) + " s"
	}
}

func scaled(value, base float64, suffixes []string) string {
	for math.Abs(value) >= base && len(suffixes) > 1 {
		value, suffixes = value/base, suffixes[1:]
	}
	return short(value) + suffixes[0]
}

// short writes three significant digits, and no zeros at the end.
func short(value float64) string {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(value, 'g', 3, 64), 64)
	if err != nil {
		return "NaN" // It parses what it has written.
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// stepOf returns a round distance between values on an axis from 0 to highest, in a unit.
func stepOf(unit string, highest float64) float64 {
	const marks = 4
	scale := 1.0
	if unit == "bytes" {
		for highest/scale >= 1024 {
			scale *= 1024
		}
	}
	exact := highest / scale / marks
	power := math.Pow(10, math.Floor(math.Log10(exact)))
	for _, round := range []float64{1, 2, 2.5, 5} {
		if exact <= round*power {
			return round * power * scale
		}
	}
	return 10 * power * scale
}
