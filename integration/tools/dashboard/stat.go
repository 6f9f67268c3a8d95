package main

import (
	"context"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// drawStat draws one value on the color of its threshold.
func drawStat(ctx context.Context, canvas draw.Canvas, title vg.Point, p *panel, from *source) error {
	vector, err := from.vector(ctx, p)
	if err != nil {
		return err
	}
	if len(vector) == 0 {
		canvas.FillText(writing(bold(14), foreground), title, p.Title)
		drawNothing(canvas)
		return nil
	}
	value := float64(vector[0].Value)
	fill(canvas, colorOf(p.FieldConfig.Defaults.Thresholds.Steps, value))
	canvas.FillText(writing(bold(14), white), title, p.Title)
	middle := canvas.Center()
	middle.Y -= 10
	canvas.FillText(centered(bold(44), white), middle, format(p.FieldConfig.Defaults.Unit, value))
	return nil
}

// colorOf returns the color of the last threshold that a value reaches.
func colorOf(thresholds []threshold, value float64) rgb {
	reached := surface
	for _, step := range thresholds {
		if step.Value == nil || value >= *step.Value {
			reached = colorNamed(step.Color)
		}
	}
	return reached
}
