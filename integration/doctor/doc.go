// Package doctor tests countersign doctor on a real node: each fault is made, and doctor names it and its remedy.
package doctor
