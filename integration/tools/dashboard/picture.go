package main

import (
	"context"
	"fmt"
	"image/color"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The sizes are in points. Grafana's grid has 24 columns.
const (
	columns = 24
	column  = vg.Length(54)
	row     = vg.Length(30)
	gap     = vg.Length(8)
	padding = vg.Length(10)
	heading = vg.Length(46)
)

// render draws all panels at the positions that they have in Grafana.
func render(ctx context.Context, of *dashboard, from *source) (*vgsvg.Canvas, error) {
	rows := 0
	for _, panel := range of.Panels {
		rows = max(rows, panel.GridPos.Y+panel.GridPos.H)
	}
	width, height := columns*column+gap, heading+vg.Length(rows)*row+gap
	picture := vgsvg.New(width, height)
	canvas := draw.New(picture)
	fill(canvas, background)
	drawHeading(canvas, of.Title, from.window)
	for i := range of.Panels {
		panel := &of.Panels[i]
		if err := drawPanel(ctx, cell(canvas, panel), panel, from); err != nil {
			return nil, err
		}
	}
	return picture, nil
}

func drawHeading(canvas draw.Canvas, title string, of window) {
	middle := canvas.Max.Y - heading/2
	left := centered(bold(20), white)
	left.XAlign = draw.XLeft
	canvas.FillText(left, vg.Point{X: gap + padding, Y: middle}, title)
	right := centered(sans(13), faint)
	right.XAlign = draw.XRight
	when := fmt.Sprintf("%s to %s UTC", of.start.UTC().Format("2006-01-02 15:04:05"), of.end.UTC().Format("15:04:05"))
	canvas.FillText(right, vg.Point{X: canvas.Max.X - gap - padding - (wider-1)*right.Width(when), Y: middle}, when)
}

// cell returns the part of the picture that a panel fills.
func cell(canvas draw.Canvas, p *panel) draw.Canvas {
	left, top := vg.Length(p.GridPos.X)*column, canvas.Max.Y-heading-vg.Length(p.GridPos.Y)*row
	canvas.Rectangle = vg.Rectangle{
		Min: vg.Point{X: left + gap, Y: top - vg.Length(p.GridPos.H)*row + gap},
		Max: vg.Point{X: left + vg.Length(p.GridPos.W)*column, Y: top},
	}
	return canvas
}

// drawPanel draws the frame, the title and the data of a panel.
func drawPanel(ctx context.Context, canvas draw.Canvas, p *panel, from *source) error {
	fill(canvas, surface)
	outline(canvas)
	inside := draw.Crop(canvas, padding, -padding, padding, -padding-20)
	title := vg.Point{X: inside.Min.X, Y: canvas.Max.Y - padding - 10}
	switch p.Type {
	case "stat":
		return drawStat(ctx, canvas, title, p, from)
	case "timeseries":
		canvas.FillText(writing(bold(14), foreground), title, p.Title)
		return drawSeries(ctx, inside, p, from)
	case "table":
		canvas.FillText(writing(bold(14), foreground), title, p.Title)
		return drawTable(ctx, inside, p, from)
	default:
		return fmt.Errorf("the panel %q has the type %q, which is not drawn", p.Title, p.Type)
	}
}

// drawNothing says that a panel has no data, as Grafana does.
func drawNothing(canvas draw.Canvas) {
	canvas.FillText(centered(sans(16), faint), canvas.Center(), "No data")
}

func fill(canvas draw.Canvas, with color.Color) { canvas.FillPolygon(with, corners(canvas)) }

func outline(canvas draw.Canvas) {
	around := corners(canvas)
	canvas.StrokeLines(draw.LineStyle{Color: border, Width: 1}, append(around, around[0]))
}

func corners(canvas draw.Canvas) []vg.Point {
	return []vg.Point{
		canvas.Min, {X: canvas.Min.X, Y: canvas.Max.Y}, canvas.Max, {X: canvas.Max.X, Y: canvas.Min.Y},
	}
}
