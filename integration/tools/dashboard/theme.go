package main

import (
	"image/color"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// rgb is an opaque color, 0xRRGGBB.
type rgb uint32

// The colors of Grafana's dark theme.
const (
	background rgb = 0x111217
	surface    rgb = 0x181b1f
	border     rgb = 0x2e3136
	gridLine   rgb = 0x2a2d32
	foreground rgb = 0xccccdc
	faint      rgb = 0x9d9da8
	white      rgb = 0xffffff
	link       rgb = 0x6e9fff
)

// RGBA implements [color.Color].
func (c rgb) RGBA() (r, g, b, a uint32) { return c.translucent(1).RGBA() }

// translucent returns the color with an opacity from 0 to 1.
func (c rgb) translucent(opacity float64) color.NRGBA {
	return color.NRGBA{R: uint8(c >> 16), G: uint8(c >> 8 & 0xff), B: uint8(c & 0xff), A: uint8(opacity * 0xff)}
}

// colorOfSeries returns the color of a panel's series by its index.
func colorOfSeries(index int) rgb {
	palette := []rgb{
		0x73bf69, 0xf2cc0c, 0x8ab8ff, 0xff780a, 0xf2495c, 0x5794f2, 0xb877d9, 0xffa6b0, 0x37872d, 0xe0b400,
	}
	return palette[index%len(palette)]
}

// colorNamed returns a color by the name that a threshold has for it.
func colorNamed(name string) rgb {
	switch name {
	case "green":
		return 0x2f7d32
	case "red":
		return 0xc4162a
	case "orange":
		return 0xc4560a
	case "blue":
		return 0x1f60c4
	default:
		return surface
	}
}

// wider is how much wider texts may be in a viewer's font than in the one with which they are placed.
const wider = 1.2

func sans(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

func bold(size vg.Length) font.Font {
	of := sans(size)
	of.Weight = xfont.WeightBold
	return of
}

// writing is a style of text that begins at a point, on its base line.
func writing(of font.Font, in color.Color) draw.TextStyle {
	return draw.TextStyle{Color: in, Font: of, Handler: text.Plain{Fonts: font.DefaultCache}}
}

// centered is a style of text around a point.
func centered(of font.Font, in color.Color) draw.TextStyle {
	style := writing(of, in)
	style.XAlign, style.YAlign = draw.XCenter, draw.YCenter
	return style
}
