package main

import (
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// minute is a window with a point for each second.
func minute() window {
	start := time.Unix(1_800_000_000, 0)
	return window{start: start, end: start.Add(time.Minute)}
}

func points(values map[int]float64) (points []model.SamplePair) {
	for second := range 60 {
		if value, is := values[second]; is {
			at := model.TimeFromUnix(minute().start.Unix() + int64(second))
			points = append(points, model.SamplePair{Timestamp: at, Value: model.SampleValue(value)})
		}
	}
	return points
}

func TestCurves(t *testing.T) {
	low, high := line{points: points(map[int]float64{1: 1, 2: 1})}, line{points: points(map[int]float64{1: 2, 2: 5})}
	t.Run("stacked series are added up", func(t *testing.T) {
		curves, highest := curvesOf([]line{low, high}, minute(), true)
		if top := curves[1][0].top[1].Y; top != 6 || highest != 6 {
			t.Errorf("the second series ends at %v, and the highest value is %v", top, highest)
		}
		if bottom := curves[1][0].bottom[1].Y; bottom != 1 {
			t.Errorf("the second series begins at %v, want the first one's", bottom)
		}
	})
	t.Run("others are not", func(t *testing.T) {
		curves, highest := curvesOf([]line{low, high}, minute(), false)
		if bottom := curves[1][0].bottom[1].Y; bottom != 0 || highest != 5 {
			t.Errorf("the second series begins at %v, and the highest value is %v", bottom, highest)
		}
	})
	t.Run("a gap divides a series", func(t *testing.T) {
		curves, _ := curvesOf([]line{{points: points(map[int]float64{1: 1, 2: 1, 10: 1})}}, minute(), false)
		if len(curves[0]) != 2 {
			t.Errorf("%d parts", len(curves[0]))
		}
	})
}

func TestTheTimeAxis(t *testing.T) {
	for name, test := range map[string]struct {
		length time.Duration
		want   string
	}{
		"seconds": {20 * time.Second, "08:00:05"},
		"minutes": {5 * time.Minute, "08:01"},
		"hours":   {5 * time.Hour, "09:00"},
	} {
		t.Run(name, func(t *testing.T) {
			of := minute()
			of.end = of.start.Add(test.length)
			ticks := clock(of)
			if len(ticks) == 0 || len(ticks) > 6 || ticks[0].Label != test.want {
				t.Errorf("the times are %v, want at most six from %s", ticks, test.want)
			}
		})
	}
}
