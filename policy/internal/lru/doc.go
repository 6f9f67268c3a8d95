// Package lru implements a cache that is limited by the weight of its entries, such as their size in bytes.
package lru
