//! Settings with human units, the same for the library's builder, the program's flags and `SET`.
