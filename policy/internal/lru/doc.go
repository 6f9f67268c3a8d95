// Package lru holds a cache that is bounded by the weight of its entries, such as their size in bytes.
package lru
