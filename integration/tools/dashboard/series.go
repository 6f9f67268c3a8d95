package main

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// drawSeries draws the series of a panel over time, with their names below.
func drawSeries(ctx context.Context, canvas draw.Canvas, p *panel, from *source) error {
	lines, err := from.lines(ctx, p)
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		drawNothing(canvas)
		return nil
	}
	chart := newChart(from.window)
	curves, highest := curvesOf(lines, from.window, p.stacked())
	setHeight(chart, p.FieldConfig.Defaults.Unit, highest)
	// The highest of a stack is drawn first, so that the lines of the others are above its area.
	for i, parts := range slices.Backward(curves) {
		for _, part := range parts {
			chart.Add(part.area(i, p.FieldConfig.Defaults.Custom.FillOpacity/100), part.edge(i))
		}
	}
	chart.Draw(draw.Crop(canvas, 0, 0, drawLegend(canvas, lines)+4, 0))
	return nil
}

// curve is a part of a series without a gap: its points, and below them those of the area under it.
type curve struct{ top, bottom plotter.XYs }

func (c curve) edge(index int) *plotter.Line {
	return &plotter.Line{
		XYs:       c.top,
		LineStyle: draw.LineStyle{Color: colorOfSeries(index), Width: 1.5},
	}
}

func (c curve) area(index int, opacity float64) *plotter.Polygon {
	around := append(plotter.XYs{}, c.top...)
	for _, point := range slices.Backward(c.bottom) {
		around = append(around, point)
	}
	return &plotter.Polygon{XYs: []plotter.XYs{around}, Color: colorOfSeries(index).translucent(opacity)}
}

// curvesOf returns the curves of each series, and the highest value. Stacked series are added up.
func curvesOf(lines []line, of window, stacked bool) (curves [][]curve, highest float64) {
	below := make(map[model.Time]float64)
	for _, line := range lines {
		var parts []curve
		previous := model.Time(math.MinInt64)
		for _, point := range line.points {
			value := float64(point.Value)
			if math.IsNaN(value) {
				continue
			}
			if len(parts) == 0 || point.Timestamp.Sub(previous) > 3*of.step()/2 {
				parts = append(parts, curve{})
			}
			previous = point.Timestamp
			base := below[point.Timestamp]
			if stacked {
				below[point.Timestamp] += value
			}
			x := float64(point.Timestamp.Unix())
			part := &parts[len(parts)-1]
			part.top = append(part.top, plotter.XY{X: x, Y: base + value})
			part.bottom = append(part.bottom, plotter.XY{X: x, Y: base})
			highest = max(highest, base+value)
		}
		curves = append(curves, parts)
	}
	return curves, highest
}

// newChart returns axes with the time of the window.
func newChart(of window) *plot.Plot {
	chart := plot.New()
	chart.BackgroundColor = nil
	chart.X.Min, chart.X.Max = float64(of.start.Unix()), float64(of.end.Unix())
	chart.X.Tick.Marker = plot.TickerFunc(func(_, _ float64) []plot.Tick { return clock(of) })
	for _, axis := range []*plot.Axis{&chart.X, &chart.Y} {
		axis.Width, axis.Padding = 0, 0
		axis.Tick.Width, axis.Tick.Length = 0, 9
		axis.Tick.Label.Font, axis.Tick.Label.Color = sans(12), faint
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = gridLine, gridLine
	grid.Vertical.Width, grid.Horizontal.Width = 1, 1
	chart.Add(grid)
	return chart
}

// clock returns at most six times in the window, in UTC.
func clock(of window) (ticks []plot.Tick) {
	const most = 6
	distance, layout := 24*time.Hour, "15:04"
	for _, round := range []time.Duration{
		5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute,
		30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour,
	} {
		if of.end.Sub(of.start)/round < most {
			distance = round
			break
		}
	}
	if distance < time.Minute {
		layout = "15:04:05"
	}
	// A time at an edge would be wider than the chart.
	margin := of.end.Sub(of.start) / 30
	first := of.start.Add(margin).Truncate(distance).Add(distance)
	for at := first; at.Before(of.end.Add(-margin)); at = at.Add(distance) {
		ticks = append(ticks, plot.Tick{Value: float64(at.Unix()), Label: at.UTC().Format(layout)})
	}
	return ticks
}

// setHeight gives the vertical axis round values from 0 to above the highest one.
func setHeight(chart *plot.Plot, unit string, highest float64) {
	if highest <= 0 {
		highest = 1
	}
	step := stepOf(unit, highest)
	var ticks []plot.Tick
	top := math.Ceil(highest*1.05/step) * step
	for i := range int(math.Round(top/step)) + 1 {
		value := float64(i) * step
		ticks = append(ticks, plot.Tick{Value: value, Label: format(unit, value)})
	}
	chart.Y.Min, chart.Y.Max = 0, top
	chart.Y.Tick.Marker = plot.ConstantTicks(ticks)
}

// drawLegend writes the names of the lines at the bottom, in as many rows as they need, and returns the height.
func drawLegend(canvas draw.Canvas, lines []line) vg.Length {
	const height, dash, between = vg.Length(18), vg.Length(16), vg.Length(18)
	style := writing(sans(12), foreground)
	rows, x := 1, canvas.Min.X
	type place struct {
		x   vg.Length
		row int
	}
	places := make([]place, len(lines))
	for i, line := range lines {
		width := dash + 6 + wider*style.Width(line.name)
		if x > canvas.Min.X && x+width > canvas.Max.X {
			rows, x = rows+1, canvas.Min.X
		}
		places[i] = place{x, rows - 1}
		x += width + between
	}
	for i, line := range lines {
		y := canvas.Min.Y + vg.Length(rows-1-places[i].row)*height + 4
		mark := draw.LineStyle{Color: colorOfSeries(i), Width: 4}
		canvas.StrokeLine2(mark, places[i].x, y+4, places[i].x+dash, y+4)
		canvas.FillText(style, vg.Point{X: places[i].x + dash + 6, Y: y}, line.name)
	}
	return vg.Length(rows) * height
}
