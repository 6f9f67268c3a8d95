package main

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/common/model"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// valueColumn is Grafana's name of the column with the values.
const valueColumn = "Value"

// drawTable draws the labels of each series, and its value unless the panel excludes it.
func drawTable(ctx context.Context, canvas draw.Canvas, p *panel, from *source) error {
	vector, err := from.vector(ctx, p)
	if err != nil {
		return err
	}
	if len(vector) == 0 {
		drawNothing(canvas)
		return nil
	}
	names := columnsOf(vector, p)
	widths := widthsOf(vector, names, p.FieldConfig.Defaults.Unit, canvas.Max.X-canvas.Min.X)
	const height = vg.Length(26)
	y := canvas.Max.Y - height/2
	write := func(style draw.TextStyle, text func(name string) string) {
		style.XAlign = draw.XLeft
		x := canvas.Min.X
		for i, name := range names {
			canvas.FillText(style, vg.Point{X: x, Y: y}, text(name))
			x += widths[i]
		}
		canvas.StrokeLine2(draw.LineStyle{Color: gridLine, Width: 1}, canvas.Min.X, y-height/2, canvas.Max.X, y-height/2)
		y -= height
	}
	write(centered(bold(13), link), func(name string) string { return name })
	for _, sample := range vector {
		write(centered(sans(13), foreground), func(name string) string {
			return field(sample, name, p.FieldConfig.Defaults.Unit)
		})
	}
	return nil
}

// columnsOf returns the labels of all series in the order of the alphabet, and then the value.
func columnsOf(vector model.Vector, p *panel) []string {
	labels := make(map[string]bool)
	for _, sample := range vector {
		for label := range sample.Metric {
			labels[string(label)] = true
		}
	}
	all := append(slices.Sorted(maps.Keys(labels)), valueColumn)
	return slices.DeleteFunc(all, p.excludes)
}

func field(sample *model.Sample, column, unit string) string {
	if column == valueColumn {
		return format(unit, float64(sample.Value))
	}
	return string(sample.Metric[model.LabelName(column)])
}

// widthsOf divides a width in proportion to the longest text of each column.
func widthsOf(vector model.Vector, names []string, unit string, width vg.Length) []vg.Length {
	const between = 20
	widths, style := make([]vg.Length, len(names)), writing(bold(13), foreground)
	sum := vg.Length(0)
	for i, name := range names {
		widths[i] = style.Width(name)
		for _, sample := range vector {
			widths[i] = max(widths[i], style.Width(field(sample, name, unit)))
		}
		widths[i] = wider*widths[i] + between
		sum += widths[i]
	}
	for i := range widths {
		widths[i] *= width / sum
	}
	return widths
}
